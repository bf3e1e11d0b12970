"""From records to batches: augmentation, worker processes, copies of large photos."""
