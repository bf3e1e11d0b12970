"""The options of a detector that looks at several views of each image: tiles, flips and scales."""

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ssdzoo.cli.option_groups import grouped
from ssdzoo.cli.options import option

if TYPE_CHECKING:
    from ssdzoo.predict.views import Views


def times(text: str) -> tuple[int, ...]:
    """The whole numbers of an option such as 2x2."""
    try:
        return tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: expected two whole numbers with an x in between, such as 2x2") from None


def factors(text: str) -> tuple[float, ...]:
    """The numbers of an option such as 1,1.5."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: expected numbers with commas in between, such as 1,1.5") from None


_PANEL = "Views of each image"
_TILES = "Cut each image into this many tiles, and look at these too: for objects that are small in it."
_TILE_SIZE = "Size of a tile in pixels of the image, in place of --tiles."
_OVERLAP = "Overlap of neighboring tiles, as a fraction of a tile's side."
_SCALES = "Input sizes of the network, as multiples of its own. Those other than 1 need a model that takes any input size."
_WHOLE = "Look at the whole image besides its tiles. Without it, only objects smaller than the overlap are found whole."


def _chosen(
    tiles: Annotated[
        Optional[Any], option(_TILES, panel=_PANEL, parser=times, metavar="COLUMNSxROWS", show_default=False)
    ] = None,
    tile_size: Annotated[
        Optional[Any], option(_TILE_SIZE, panel=_PANEL, parser=times, metavar="WIDTH[xHEIGHT]", show_default=False)
    ] = None,
    overlap: Annotated[Optional[float], option(_OVERLAP, panel=_PANEL, show_default="0.2")] = None,
    flip: Annotated[bool, option("Look at each view mirrored too.", "--flip", panel=_PANEL)] = False,
    scales: Annotated[Optional[Any], option(_SCALES, panel=_PANEL, parser=factors, metavar="A,B,...", show_default="1")] = None,
    whole: Annotated[bool, option(_WHOLE, panel=_PANEL)] = True,
) -> "Views | None":
    """The views that the options name; None where they name none."""
    if tiles is tile_size is overlap is scales is None and not flip and whole:
        return None
    from ssdzoo.predict.views import Views

    sides: Any = tile_size[0] if tile_size is not None and len(tile_size) == 1 else tile_size
    return Views(tiles, sides, overlap, flip, (1.0,) if scales is None else scales, whole)


# Gives a verb the options of views in the place of its argument `views`, which gets those that they name, or None.
with_views = grouped("views", inspect.signature(_chosen).parameters.values(), _chosen)
