"""Parameter files: whose names they hold, where they are found, and how they get into a network."""
