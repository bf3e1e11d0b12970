"""Fine-tuning: targets and loss on the training device, the loop, and the run folder it leaves behind."""
