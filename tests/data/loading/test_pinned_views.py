"""The views of the named augmentations stay as they are: runs of earlier versions can be repeated."""

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.loading.loader import Loader
from tests.shared import BCCD

# Of four photos: objects, box of the first one in pixels, mean color of the view. The last photo got the whole image, unmirrored.
VIEWS = {
    "ssd": (
        [14, 3, 1, 12],
        [[5.53, 38.529, 46.083, 56.395], [146.728, 18.308, 160, 27.697], [10.305, 0, 69.424, 38.083], [42, 35.6, 74.75, 63.2]],
        [[211.92, 202.16, 203.86], [167.34, 159.08, 164.58], [187.12, 186.37, 181.26], [163.0, 156.4, 158.76]],
    ),
    "light": (
        [17, 3, 12, 12],
        [[86.25, 39, 113.75, 55.6], [85.25, 32.2, 96, 40.2], [34.75, 10.6, 62, 32.2], [42, 35.6, 74.75, 63.2]],
        [[190.29, 182.82, 182.1], [185.5, 180.07, 183.85], [191.26, 185.04, 185.72], [169.9, 162.41, 164.74]],
    ),
    "none": (
        [17, 3, 12, 12],
        [[86.25, 39, 113.75, 55.6], [64, 32.2, 74.75, 40.2], [98, 10.6, 125.25, 32.2], [42, 35.6, 74.75, 63.2]],
        [[190.29, 182.82, 182.1], [185.5, 180.07, 183.85], [191.2, 184.99, 185.67], [169.9, 162.41, 164.74]],
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_named_augmentation_draws_what_it_always_drew(name):
    counts, boxes, colors = VIEWS[name]
    batch = next(Loader(load_dataset(BCCD, "train"), 4, (96, 160), name, seed=3).epoch(2))
    assert batch.indices.tolist() == [0, 3, 2, 1] and (batch.class_ids >= 0).sum(axis=1).tolist() == counts
    np.testing.assert_allclose(batch.boxes[:, 0], boxes, atol=1e-3)
    # Another build of OpenCV may round a pixel otherwise.
    np.testing.assert_allclose(batch.images.mean(axis=(1, 2)), colors, atol=0.02)
