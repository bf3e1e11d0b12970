"""Four images in one (Bochkovskiy et al. 2020, YOLOv4), with views that fill their tiles without stretching them further."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from ssdzoo.augmentation.table import Mosaic
from ssdzoo.data.loading.augment.draw import Drawn, draw_part


def draw_tiles(size: tuple, rng: Generator, mosaic: Mosaic) -> list[tuple]:
    """[(rows, columns)] of four tiles of an image of `size` (height, width), as slices: top left, top right, bottom left, bottom
    right."""
    y, x = (min(max(round(side * rng.uniform(*mosaic.center)), 1), max(side - 1, 1)) for side in size)
    return [(rows, columns) for rows in (slice(0, y), slice(y, size[0])) for columns in (slice(0, x), slice(x, size[1]))]


def tile_size(tile: tuple) -> tuple:
    """(height, width) of a tile."""
    return tuple(side.stop - side.start for side in tile)


def view_of_tile(drawn: Drawn, tile: tuple, size: tuple, rng: Generator, mosaic: Mosaic) -> Drawn:
    """The part of a drawn view that a tile shows.

    Args:
        drawn: the view of an image, as if it were shown alone.
        tile: (rows, columns); size: (height, width) of the whole image of four.
        rng: draws at what scale, and which part.
    """
    parts = np.array(tile_size(tile)[::-1]) / size[::-1]  # of the width and of the height
    parts = parts / max(rng.uniform(*mosaic.scale), *parts)  # a tile that is larger than the view enlarges it
    window = draw_part(drawn.window, parts[::-1] if drawn.turns % 2 else parts, rng)
    return replace(drawn, window=window, min_visible=max(drawn.min_visible, mosaic.min_visible))


def join(samples: list[tuple], tiles: list[tuple], size: tuple) -> tuple:
    """One sample of four (image, boxes (M, 4), class ids (M,)), each of the size of its tile: image of `size` (height, width),
    boxes, class ids."""
    image = np.empty((*size, 3), np.uint8)
    moved = []
    for (pixels, boxes, _), (rows, columns) in zip(samples, tiles):
        image[rows, columns] = pixels
        moved.append(boxes + np.array([columns.start, rows.start] * 2, np.float32))
    return image, np.concatenate(moved), np.concatenate([ids for _, _, ids in samples])
