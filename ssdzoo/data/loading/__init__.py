"""From records to batches: augmentation, worker processes, smaller copies of large photos."""
