"""Training with PyTorch: targets, loss and optimizer as MXNet's, processes of torchrun, and the step (`engine`)."""

from ssdzoo.machine import import_package

import_package("torch", "torch")
