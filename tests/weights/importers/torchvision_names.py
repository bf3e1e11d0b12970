"""State dicts in torchvision's names, with random numbers."""

import numpy as np


def add_conv_and_norm(arrays: dict, random: np.random.Generator, conv: str, norm: str, shape: tuple) -> None:
    """Adds the arrays of a convolution without bias, whose weight has a shape (O, I, H, W), and of its batch norm."""
    arrays[f"{conv}.weight"] = random.normal(size=shape).astype(np.float32)
    for part in ("weight", "bias", "running_mean", "running_var"):
        arrays[f"{norm}.{part}"] = random.uniform(0.5, 1, shape[0]).astype(np.float32)
    arrays[f"{norm}.num_batches_tracked"] = np.array(7)
