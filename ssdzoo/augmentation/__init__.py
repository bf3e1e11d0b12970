"""Tables of augmentations: which operations there are, what each may be set to, and those that have a name."""
