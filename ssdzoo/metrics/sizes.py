"""Small, medium and large objects, as COCO divides them (cocodataset.org, "Detection Evaluation")."""

import numpy as np

# Ranges of the area in square pixels of the original image: the minimum belongs to a range, the maximum to the next.
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}


def within(areas: np.ndarray, size: str) -> np.ndarray:
    """(N,) bool: which of the areas (N,) are of a size in `SIZES`."""
    low, high = SIZES[size]
    return (areas >= low) & (areas < high)
