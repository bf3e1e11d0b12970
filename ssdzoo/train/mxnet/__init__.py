"""Training with MXNet: targets, loss and optimizer, what a training starts from, and the step (`engine`)."""
