"""`ssdzoo anchors`: how well a model's anchors fit a data set, and a table of anchors that fit it better."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

from ssdzoo.cli.options import PARTS, Data, Format, ImageFolder, Json, Weights, option, wide_console
from ssdzoo.errors import CallError, DataError

if TYPE_CHECKING:
    from ssdzoo.measure.anchor_fit import Fit

_PICTURE = "Draw the anchors of each feature map, before and after, over an image (.png or .jpg)."
_COUNT = "Number of shapes to propose over all feature maps, at least one for each."
_DEFAULT_COUNT = "few: 4 more than feature maps, or more where these miss over 5 % of the objects"


def anchors(
    data: Data,
    model: Annotated[str, option("A preset's name, a table (.toml) or a run folder.", show_default=False)],
    split: Annotated[str, option(f"Images whose objects are counted. {PARTS}")] = "train",
    out: Annotated[Optional[Path], option("Write the proposed anchors as a table (.toml) that train takes.")] = None,
    picture: Annotated[Optional[Path], option(_PICTURE)] = None,
    count: Annotated[Optional[int], option(_COUNT, "--anchors", min=1, show_default=_DEFAULT_COUNT)] = None,
    seed: Annotated[int, option("Seed of the clustering.", min=0)] = 0,
    format: Format = None,
    image_folder: ImageFolder = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Count the objects that have an anchor, by class, size and feature map, and propose anchors that fit them better."""
    _check_files(out, picture)
    from ssdzoo import runtime

    runtime.tune_cpu()
    from ssdzoo.cli.progress import load_data
    from ssdzoo.data.formats.splits import NoObjectsError
    from ssdzoo.measure.anchor_fit import fit_anchors
    from ssdzoo.model_source import resolve
    from ssdzoo.report.anchors import print_fit

    source = resolve(model, weights)
    levels = source.levels()
    try:
        dataset = load_data(data, split, None, format, image_folder)
    except NoObjectsError:
        raise DataError(f"{data}: no objects in split {split!r}, so there is nothing to fit anchors to") from None
    fit = fit_anchors(dataset, source.preset, levels, count, seed)
    if out:
        _write(out, fit, f"{data}, split {split}")
    if picture:
        from ssdzoo.report.anchor_picture import draw_fit
        from ssdzoo.report.pictures import save_image

        save_image(picture, draw_fit(fit))
    if as_json:
        files = {"table": out and str(out), "picture": picture and str(picture)}
        print(json.dumps({"data": str(data), "split": split, **fit.to_dict(), **files}, indent=1))
        return
    print_fit(fit, str(data), split, wide_console())
    if out or picture:
        print()
    if out:
        print(f"{out}: train it with ssdzoo train {out} {data} --out RUN")
    if picture:
        print(f"{picture}: the anchors of each feature map over an image")


def _check_files(out: Path | None, picture: Path | None) -> None:
    """Before the work, not after it."""
    if out and out.suffix != ".toml":
        raise CallError(f"--out {out}: a table that train takes ends with .toml")
    if out and out.exists():
        raise CallError(f"--out {out} is there already: name another file")
    if picture and picture.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise CallError(f"--picture {picture}: a picture is saved as .png or .jpg")
    if picture and picture.is_dir():
        raise CallError(f"--picture {picture} is a folder: name a file")


def _write(out: Path, fit: "Fit", data: str) -> None:
    from ssdzoo.anchors.table import write_table

    model, proposal = fit.presets
    before, after = (table["all"]["0.5"] for table in fit.tables)
    comments = (
        f"{model.name} with anchors that `ssdzoo anchors` fitted to {data}: {after:.1%} of the objects have one at IoU 0.5,",
        f"{before:.1%} before. In each grid cell of a feature map: one anchor for each size (root of the area) and ratio.",
    )
    write_table(out, proposal, comments)
