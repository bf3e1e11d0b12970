"""Where the tiles of an image lie. A window is (xmin, ymin, xmax, ymax) in whole pixels of the image."""

from itertools import product
from math import ceil

Window = tuple[int, int, int, int]


def whole_window(height: int, width: int) -> Window:
    """The window of the whole image."""
    return 0, 0, width, height


def grid_windows(height: int, width: int, columns: int, rows: int, overlap: float) -> list[Window]:
    """Equal tiles, row by row, that cover an image of height x width pixels.

    Args:
        columns, rows: how many tiles lie side by side and one below the other.
        overlap: of neighboring tiles, as a share of a tile's side, from 0 to below 1.
    """
    return _crossed(_spans(height, rows, overlap), _spans(width, columns, overlap))


def count_sized(height: int, width: int, size: tuple[int, int], overlap: float) -> int:
    """The number of tiles of `sized_windows`."""
    return _count(height, size[1], overlap) * _count(width, size[0], overlap)


def sized_windows(height: int, width: int, size: tuple[int, int], overlap: float) -> list[Window]:
    """Tiles of one size, row by row, that cover an image of height x width pixels, at equal distances.

    Args:
        size: (width, height) of a tile in pixels; an image that is less wide or high has tiles of its own width or height.
        overlap: minimum overlap of neighboring tiles, as a share of a tile's side, from 0 to below 1.
    """
    down, across = (
        [(start, start + min(side, length)) for start in _starts(length, side, _count(length, side, overlap))]
        for length, side in ((height, size[1]), (width, size[0]))
    )
    return _crossed(down, across)


def _count(length: int, side: int, overlap: float) -> int:
    """How many spans of `side` cover `length`. Rounded before it is rounded up: 640 * 0.8 is not quite 512."""
    return 1 + ceil(round(max(length - side, 0) / (side * (1 - overlap)), 6))


def _starts(length: int, side: int, count: int) -> list[int]:
    return [round(i * (length - side) / (count - 1)) for i in range(count)] if count > 1 else [0]


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """`count` spans of equal length that cover `length`; an image of fewer pixels than that has spans of one pixel."""
    side = length / (count - (count - 1) * overlap)
    starts = [min(round(i * side * (1 - overlap)), length - 1) for i in range(count)]
    return [(start, min(max(round(i * side * (1 - overlap) + side), start + 1), length)) for i, start in enumerate(starts)]


def _crossed(down: list, across: list) -> list[Window]:
    return [(left, top, right, bottom) for (top, bottom), (left, right) in product(down, across)]
