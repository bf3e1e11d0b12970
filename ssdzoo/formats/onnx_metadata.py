"""What an ONNX file of `to_onnx` says about itself. Needs the package onnx, and no runtime."""

import json
from pathlib import Path

from ssdzoo.errors import CallError, ExportError
from ssdzoo.formats.graph_input import GraphInput
from ssdzoo.machine import import_package
from ssdzoo.preset import Preset

_FIELDS = ("classes", "mean", "std", "size", "nms", "raw", "preprocess", "heads")


def read_metadata(path: str | Path) -> dict:
    """What `to_onnx` wrote into a model about itself: classes, mean, std, size, nms, preset, raw, preprocess.

    Raises:
        ExportError: no ONNX file, or one that `to_onnx` did not write.
    """
    onnx = import_package("onnx", "onnx")
    if not Path(path).is_file():
        raise ExportError(f"{path}: no such ONNX file")
    try:
        model = onnx.load(str(path))
        values = {p.key: p.value for p in model.metadata_props}
        return {"preset": values["preset"], **{k: json.loads(values[k]) for k in _FIELDS}}
    except (KeyError, ValueError) as error:
        raise ExportError(f"{path}: not a model of `ssdzoo export --format onnx`: its metadata has no {error}") from None
    except Exception as error:  # protobuf's own, which is no subclass of anything useful
        raise ExportError(f"{path}: not an ONNX file ({str(error).strip().splitlines()[0]})") from None


def read_onnx_preset(path: str | Path, given: tuple | None = None) -> tuple[Preset, bool]:
    """The Preset (input size, classes, mean, std, limits) of an exported model, and whether it takes uint8 pixels.

    Args:
        given: (mean, std) that the user gave, for a file that does not say them.

    Raises:
        ExportError: not a model with detections and a known input size.
        CallError: mean and std are neither in the file nor given, or both.
    """
    found = read_metadata(path)
    if found["raw"]:
        raise ExportError(f"{path}: gives head outputs; export the model with raw=False to find objects with it")
    if not found["size"]:
        raise ExportError(f"{path}: does not say for which input size it was made; export it with a sidecar (base_size) again")
    if given and found["mean"]:
        raise CallError(f"{path} says its mean and std itself: leave mean= and std= out")
    # Only a graph with MultiBoxDetection is exported without them.
    taken = GraphInput("images", False, None, multi_box=not found["mean"])
    mean, std = given or (found["mean"], found["std"])
    mean, std = taken.normalization(mean, std, str(path))
    nms = found["nms"]
    preset = Preset(
        name=found["preset"] or Path(path).stem, backbone="onnx", base_size=tuple(found["size"]), sizes=(), ratios=(),
        classes=tuple(found["classes"]), mean=mean, std=std,
        nms_thresh=nms["thresh"], nms_topk=nms["topk"], post_nms=nms["post"],
    )  # fmt: skip
    return preset, found["preprocess"]
