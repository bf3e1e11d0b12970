"""`ssdzoo quantize`: a model in int8, and the certificate that says what it costs."""

import sys
from pathlib import Path
from typing import Annotated, Optional

from ssdzoo.cli.compare import show_certificate
from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import FORCE, PARTS, Format, ImageFolder, Json, check_files, check_folder, option, prepare_backend
from ssdzoo.errors import CallError
from ssdzoo.progress import counted

_IMAGES = "Folder of images to calibrate on, like those that the model will see."
_DATA = "A data set with true boxes: its mAP decides."


@with_model("choice")
def quantize(
    choice: ModelChoice,
    out: Annotated[Path, option("Folder for NAME-int8.onnx and the certificate.", show_default=False)],
    images: Annotated[Optional[Path], option(_IMAGES, show_default="the training images of --data")] = None,
    count: Annotated[int, option("Number of images to calibrate on, evenly spread over all.", min=1)] = 100,
    data: Annotated[Optional[Path], option(_DATA, show_default="the agreement on --images decides")] = None,
    split: Annotated[str, option(f"Images of --data. {PARTS}")] = "test",
    format: Format = None,
    image_folder: ImageFolder = None,
    map_tolerance: Annotated[float, option("Maximum loss of mAP, with --data.", min=0)] = 0.01,
    agreement: Annotated[float, option("Minimum share of equal detections, without --data.", min=0, max=1)] = 0.9,
    score: Annotated[float, option("Minimum score of a detection in the certificate.", min=0, max=1)] = 0.5,
    float_first: Annotated[
        Optional[int], option("Number of first convolutions that stay in float.", min=0, show_default="as few as needed")
    ] = None,
    force: Annotated[bool, FORCE] = False,
    as_json: Json = False,
) -> None:
    """Write an int8 ONNX model calibrated on images, and compare it with the float one; exit status 1 where it loses too much."""
    if images is None and data is None:
        raise CallError("name images to calibrate on with --images, or a data set with --data")
    check_folder(out)
    source = choice.resolve()
    path = out / f"{source.name}-int8.onnx"
    check_files([path], force)
    prepare_backend(None, "onnxruntime")
    from ssdzoo.cli.progress import WorkProgress, load_data
    from ssdzoo.export.int8.quantize import quantize_onnx
    from ssdzoo.measure.certificate import Trial, open_side
    from ssdzoo.measure.compare import Tolerance
    from ssdzoo.model_source import resolve

    side = open_side(source, "onnxruntime")
    before = side.detector.backend.file
    assert before  # onnxruntime runs a file
    if data:
        with WorkProgress() as progress:
            side = side.named_by(data, format, progress)
    names = side.detector.names
    records = load_data(data, split, names, format, image_folder).records if data else None
    chosen = _spread(images or _training_images(data, names, format, image_folder), count)
    with WorkProgress() as progress:
        batches = (side.detector.prepare(image)[1][None] for image in progress.images(chosen, len(chosen)))
        done = quantize_onnx(before, path, batches, float_first)
    sizes = [Path(file).stat().st_size / 1e6 for file in (before, path)]
    int8 = done["convolutions"] - done["float"]
    print(
        f"{path}: {int8} of {counted(done['convolutions'], 'convolution')} in int8, calibrated on "
        f"{counted(len(chosen), 'image')}; signal to noise "
        f"of the logits {done['logits_db']} dB; {sizes[0]:.2f} MB before, {sizes[1]:.2f} MB now",
        file=sys.stderr,
    )
    tolerance = Tolerance(map=map_tolerance) if data else Tolerance(agreement=agreement)
    trial = Trial(None if data else chosen, records, score, tolerance)
    show_certificate(side, open_side(resolve(path), "onnxruntime"), trial, out, as_json)


def _training_images(data, names: list, format: str | None, image_folder: Path | None) -> list:
    from ssdzoo.data import load_dataset

    return [record.image for record in load_dataset(data, "train", names, format, image_folder).records]


def _spread(images, count: int) -> list:
    """At most `count` of the images, the same ones each time."""
    from ssdzoo.measure.certificate import list_stills

    found = list_stills(images)
    step = max(1.0, len(found) / count)
    return [found[int(i * step)] for i in range(min(count, len(found)))]
