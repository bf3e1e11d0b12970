"""Views of images as a training makes them, for several tests."""

import numpy as np

from ssdzoo.augmentation.named import named_augmentation
from ssdzoo.data.loading.augment.draw import draw_view
from ssdzoo.data.loading.augment.pixels import MEAN_PIXEL
from ssdzoo.data.loading.transforms import render_view

SSD = named_augmentation("ssd")


def random_view(image, boxes, class_ids, size, seed, augmentation=SSD, mean=MEAN_PIXEL):
    """(image, boxes, class ids, what was drawn)."""
    drawn = draw_view(*image.shape[:2], boxes, np.random.default_rng(seed), augmentation)
    return (*render_view(image, image.shape[:2], boxes, class_ids, drawn, size, mean), drawn)
