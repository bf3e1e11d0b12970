"""`ssdzoo predict`: pictures with labeled boxes and the boxes as JSON, or a line of JSON for each image."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import BACKEND, Gpus, Json, Precision, argument, check_folder, option, prepare_backend
from ssdzoo.cli.views import with_views
from ssdzoo.errors import CallError, DataError
from ssdzoo.progress import counted

if TYPE_CHECKING:
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.predict.detector import Detector

_SCALE = "Many images"
_MODE = "What openvino is tuned for: one image at a time, or many."
_OUT = "Folder for the pictures and detections.json."
_IMAGES = "Images, folders of images, videos, patterns, or addresses that fsspec knows, such as s3://bucket/photos/*.jpg."
_JSONL = "File to which a line is appended for each image as soon as it is done, in place of --out."
_SHARD = "Take one part of the images, such as 3/16, the third of sixteen. The hash of its name says which part an image is in."
_LIST = "File with the path of an image on each line, relative to the folder of the file; - for standard input."


@with_model("choice")
@with_views
def predict(
    choice: ModelChoice,
    images: Annotated[Optional[list[str]], argument(_IMAGES)] = None,
    out: Annotated[Optional[Path], option(_OUT, show_default=False)] = None,
    score: Annotated[float, option("Minimum score of a detection.", min=0, max=1)] = 0.5,
    pictures: Annotated[bool, option("Write the images with their boxes.")] = True,
    backend: Annotated[str, option(BACKEND)] = "auto",
    precision: Precision = "auto",
    mode: Annotated[str, option(_MODE, metavar="latency|throughput")] = "latency",
    views: Any = None,
    gpus: Gpus = None,
    as_json: Json = False,
    jsonl: Annotated[Optional[Path], option(_JSONL, panel=_SCALE, show_default=False)] = None,
    resume: Annotated[bool, option("Continue --jsonl FILE, and skip the images in it.", "--resume", panel=_SCALE)] = False,
    shard: Annotated[Optional[str], option(_SHARD, panel=_SCALE, metavar="N/COUNT", show_default="all")] = None,
    from_list: Annotated[Optional[Path], option(_LIST, panel=_SCALE, metavar="FILE")] = None,
) -> None:
    """Find objects in images; write a picture of each, and detections.json. Exits with 1 if an image cannot be read."""
    _check(images, out, jsonl, resume, pictures, from_list)
    devices = prepare_backend(gpus, backend)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.predict.load import open_source
    from ssdzoo.predict.sharding import Shard
    from ssdzoo.predict.sources import list_names
    from ssdzoo.report.predictions import write_predictions
    from ssdzoo.report.results_file import results_settings

    part = Shard.parse(shard) if shard is not None else None
    source = choice.resolve()
    detector = open_source(source, backend, devices, precision, mode, views)
    if jsonl is not None:
        settings = results_settings(source, score, part, precision, views)
        with WorkProgress() as progress:
            _append(detector, list_names(images or [], from_list, part), jsonl, settings, resume, progress, as_json)
        return
    assert out is not None
    failed: list = []
    with WorkProgress() as progress:

        def report(name, error) -> None:
            progress.say(f"ssdzoo: {error}")
            failed.append(name)

        found = write_predictions(detector, images or [], out, score, progress, report, pictures, from_list, part)
    _say(found, out, pictures, as_json)
    if failed:
        share = f"{len(failed)} of {counted(len(found) + len(failed), 'image')}"
        raise DataError(f"{share} could not be read; {out}/detections.json has the others")


def _say(found: list[dict], out: Path, pictures: bool, as_json: bool) -> None:
    """Prints what was found, or how much."""
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        objects = sum(len(image["detections"]) for image in found)
        beside = " and the pictures beside it" if pictures else ""
        print(f"{counted(objects, 'object')} in {counted(len(found), 'image')}: {out}/detections.json{beside}")


def _check(
    images: list | None, out: Path | None, jsonl: Path | None, resume: bool, pictures: bool, from_list: Path | None
) -> None:
    """What belongs together, before the work."""
    if not images and from_list is None:
        raise typer.BadParameter("name images, or a list of them with --from-list", param_hint="'IMAGES'")
    if out is None and jsonl is None:
        raise typer.BadParameter(
            "name a folder for the pictures, or with --jsonl a file for the detections", param_hint="'--out'"
        )
    if jsonl is not None and out is not None:
        raise CallError("--jsonl FILE takes the place of --out: leave one of them out")
    if jsonl is not None and pictures:
        raise CallError("--jsonl writes no pictures: add --no-pictures")
    if resume and jsonl is None:
        raise CallError("--resume belongs to --jsonl FILE")
    check_folder(out)


def _append(detector: "Detector", names: list[str], jsonl: Path, settings: dict, resume: bool, progress: "WorkProgress",
            as_json: bool) -> None:  # fmt: skip
    from ssdzoo.report.predictions import append_predictions
    from ssdzoo.report.results_file import ResultsFile

    with ResultsFile(jsonl, settings, resume) as file:
        done = append_predictions(
            detector, names, file, settings["score"], progress, lambda _, error: progress.say(f"ssdzoo: {error}")
        )
    rate = done.images / done.seconds if done.seconds else 0.0
    if as_json:
        print(json.dumps({**done._asdict(), "images_per_s": round(rate, 3), "runtime": detector.runtime}, indent=1))
    else:
        skipped = f", {done.skipped:,} were there before" if done.skipped else ""
        print(f"{counted(done.objects, 'object')} in {counted(done.images, 'image')}{skipped}: {jsonl}  ({rate:.1f} images/s)")
    if done.failed:
        share = f"{done.failed} of {counted(len(names), 'image')}"
        raise DataError(f'{share} could not be read; in {jsonl} each has a line with its "error"')
