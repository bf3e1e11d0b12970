"""Several views of one image: parts of it, mirrored or not, at one or more input sizes of the network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import cv2
import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.errors import CallError
from ssdzoo.predict.tiles import Window, count_sized, grid_windows, sized_windows, whole_window

OVERLAP = 0.2  # of a tile's side
MAX_TILES = 4096  # of an image
_MAX_OVERLAP = 0.9
_MIN_SIDE = 16  # pixels of a tile
_SCALES = 0.1, 8.0  # lowest and highest


class View(NamedTuple):
    """A part of an image as the network sees it.

    Attributes:
        window: xmin, ymin, xmax, ymax of the part in pixels of the image.
        mirrored: left and right are exchanged.
    """

    window: Window
    mirrored: bool = False

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The view's pixels (h, w, 3) of an image (H, W, 3)."""
        left, top, right, bottom = self.window
        part = image[top:bottom, left:right]
        return cv2.flip(part, 1) if self.mirrored else part

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (M, 4) in pixels of the view as boxes (M, 4) float32 in pixels of the image."""
        left, top, right, _ = self.window
        if self.mirrored:
            boxes = geometry.mirror(boxes, right - left)
        return boxes + np.array([left, top, left, top], np.float32)


@dataclass(frozen=True)
class Views:
    """Which views of each image a detector looks at: the whole image and its tiles; each at every scale, and with `flip` mirrored
    too.

    Args:
        tiles: (columns, rows): the image is cut into that many tiles of equal size.
        tile_size: (width, height) of a tile in pixels of the image, or the side of square ones, in place of `tiles`. An image
            that is not larger than a tile is looked at as a whole.
        overlap: of neighboring tiles, as a share of a tile's side, 0 to 0.9; with `tile_size` at least this. By default 0.2.
        flip: look at each view mirrored, too.
        scales: the network's input sizes, as factors of its own: (1, 1.5) is its own and one and a half times as many pixels
            along a side. Only what runs a network at any input size can do other scales than 1.
        whole: look at the whole image besides its tiles. Without it, objects that are larger than the overlap may be found in
            parts.

    Raises:
        CallError: values that are not possible, or do not fit each other.

    Example:
        >>> detector = ssdzoo.load("runs/cells", views=Views(tiles=(2, 2), flip=True))
    """

    tiles: tuple[int, int] | None = None
    tile_size: int | tuple[int, int] | None = None
    overlap: float | None = None
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    whole: bool = True

    def __post_init__(self):
        if self.tiles is not None and self.tile_size is not None:
            raise CallError("tiles= and tile_size= exclude each other: give the number of tiles, or their size")
        if self.tiles is not None:
            _check_tiles(self.tiles)
        if self.tile_size is not None and not _are_whole(self._tile_sides, _MIN_SIDE):
            given = by(dict.fromkeys(self._tile_sides))
            raise CallError(f"tile_size={given}: expected pixels, one number or width and height, at least {_MIN_SIDE}")
        if self.overlap is not None:
            if not self.tiled:
                raise CallError("overlap= is for tiles: give tiles= or tile_size=, too")
            if not 0 <= self.overlap <= _MAX_OVERLAP:
                raise CallError(f"overlap={self.overlap:g}: expected a share of a tile's side, from 0 to {_MAX_OVERLAP}")
        if not self.whole and not self.tiled:
            raise CallError("without the whole image there must be tiles: give tiles= or tile_size=, too")
        _check_scales(self.scales)

    @property
    def tiled(self) -> bool:
        """Whether images are cut into tiles."""
        return self.tiles is not None or self.tile_size is not None

    @property
    def single(self) -> bool:
        """Whether there is one view alone, the image itself at the network's own size."""
        return not self.tiled and not self.flip and tuple(self.scales) == (1.0,)

    def windows(self, height: int, width: int) -> list[Window]:
        """The window of the whole image of height x width pixels, if it is looked at, and then those of its tiles.

        Raises:
            CallError: more than 4096 tiles of `tile_size`.
        """
        whole = whole_window(height, width)
        tiles = [window for window in dict.fromkeys(self._tiles(height, width)) if window != whole]
        return [whole, *tiles] if self.whole or not tiles else tiles

    def of(self, height: int, width: int) -> list[View]:
        """The views of an image of height x width pixels at one scale; arguments and errors as of `windows`."""
        mirrored = (False, True) if self.flip else (False,)
        return [View(window, side) for window in self.windows(height, width) for side in mirrored]

    def to_dict(self) -> dict:
        """For JSON, what differs from a single view: {"tiles", "tile_size", "overlap", "whole", "flip", "scales"}."""
        tiles = {"tiles": list(self.tiles)} if self.tiles is not None else {"tile_size": list(self._tile_sides)}
        found: dict = {**tiles, "overlap": self._overlap} if self.tiled else {}
        found |= {} if self.whole else {"whole": False}
        return {**found, "flip": self.flip, "scales": [float(scale) for scale in self.scales]}

    @property
    def _overlap(self) -> float:
        return OVERLAP if self.overlap is None else self.overlap

    @property
    def _tile_sides(self) -> tuple:
        """(width, height) of `tile_size`, as it was given."""
        return tuple(self.tile_size) if isinstance(self.tile_size, (tuple, list)) else (self.tile_size,) * 2

    def _tiles(self, height: int, width: int) -> list[Window]:
        if self.tiles is not None:
            return grid_windows(height, width, *self.tiles, self._overlap)
        if self.tile_size is None:
            return []
        count = count_sized(height, width, self._tile_sides, self._overlap)
        if count > MAX_TILES:
            raise CallError(
                f"an image of {width}x{height} pixels would have {count} tiles of {by(self._tile_sides)} pixels with an overlap "
                f"of {self._overlap:g}, and {MAX_TILES} is the maximum: take larger tiles"
            )
        return sized_windows(height, width, self._tile_sides, self._overlap)


def by(sides: Iterable) -> str:
    """ "640x480" of width and height, or of columns and rows."""
    return "x".join(map(str, sides))


def _check_tiles(tiles: Sequence) -> None:
    if not (isinstance(tiles, (tuple, list)) and _are_whole(tiles, 1)):
        given = by(tiles) if isinstance(tiles, (tuple, list)) else repr(tiles)
        raise CallError(f"tiles={given}: expected columns and rows, two whole numbers from 1 on")
    if tiles[0] * tiles[1] > MAX_TILES:
        raise CallError(f"tiles={by(tiles)}: {tiles[0] * tiles[1]} tiles of an image, and {MAX_TILES} is the maximum")


def _check_scales(scales: Sequence) -> None:
    lowest, highest = _SCALES
    wrong = [s for s in scales if not (isinstance(s, (int, float)) and isfinite(s) and lowest <= s <= highest)]
    if wrong:
        given = f"{wrong[0]:g}" if isinstance(wrong[0], (int, float)) else repr(wrong[0])
        raise CallError(f"scales={given}: expected a factor of the network's input size, from {lowest:g} to {highest:g}")
    if not len(scales) or len(set(scales)) < len(scales):
        raise CallError(f"scales={','.join(f'{s:g}' for s in scales) or '()'}: expected one or more, each of them once")


def _are_whole(values: Sequence, minimum: int) -> bool:
    """Whether they are two whole numbers from a minimum on."""
    return len(values) == 2 and all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v >= minimum for v in values)
