"""Small, medium and large objects, as COCO divides them (cocodataset.org, "Detection Evaluation")."""

import numpy as np

# Areas in square pixels of the original image: the least of a range belongs to it, the greatest to the next.
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}


def within(areas, size: str) -> np.ndarray:
    """(N,) bool: which of the areas (N,) are of a size in `SIZES`."""
    least, most = SIZES[size]
    return (areas >= least) & (areas < most)
