"""What an ONNX file of `to_onnx` says about itself. Needs the package onnx, and no runtime."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError, ExportError
from ssdzoo.files import open_file
from ssdzoo.formats.graph_input import GraphInput
from ssdzoo.machine import import_package
from ssdzoo.preset import Preset
from ssdzoo.preset_fields import check_fields, is_real
from ssdzoo.quote import brief, short

_MAX_BYTES = 1 << 31  # of a file; protobuf can't hold more
_DETECTIONS = {"boxes": 3, "scores": 2, "class_ids": 2}  # outputs and their axes


def _optional(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


def _has_limits(value: Any) -> bool:
    """Whether it is what the metadata say of NMS: numbers, or null where a graph has no such limit."""
    if not isinstance(value, dict):
        return False
    numbers = [value.get(key) for key in ("thresh", "topk", "post")]
    return all(number is None or is_real(number) for number in numbers)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text.isprintable() for text in value)


# What each field must be: a test, and the words for the message. Those that a Preset has are checked as in a table, too.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "classes": (_are_texts, "a list of names"),
    "mean": (_optional(lambda v: isinstance(v, list)), "three numbers, or null"),
    "std": (_optional(lambda v: isinstance(v, list)), "three positive numbers, or null"),
    "size": (_optional(lambda v: isinstance(v, list)), "[height, width], or null"),
    "nms": (_has_limits, "thresh, topk and post, numbers or null"),
    "raw": (lambda v: isinstance(v, bool), "true or false"),
    "preprocess": (lambda v: isinstance(v, bool), "true or false"),
    "heads": (_optional(lambda v: _are_texts(v) and len(v) == 2), "the names of two tensors, or null"),
}


def read_metadata(path: str | Path) -> dict:
    """What `to_onnx` wrote into a model about itself: classes, mean, std, size, nms, preset, raw, preprocess.

    Raises:
        ExportError: no ONNX file, one that `to_onnx` did not write, or one whose metadata are wrong; names field and value.
    """
    return _metadata_of(_load(path), path)


def _load(path: str | Path) -> Any:
    """The onnx.ModelProto in a file, without weights that lie in another one."""
    onnx = import_package("onnx", "onnx")
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size > _MAX_BYTES:
                raise ExportError(f"{path}: not an ONNX file: it has more than 2 GiB, which none can have")
            return onnx.load_model(file, format="protobuf", load_external_data=False)
    except FileNotFoundError:
        raise ExportError(f"{path}: no such ONNX file") from None
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ExportError:
        raise
    except Exception as error:  # protobuf's own, which is no subclass of anything useful
        raise ExportError(
            f"{path}: not an ONNX file ({short((str(error).strip().splitlines() or ['damaged'])[0], 200)})"
        ) from None


def _metadata_of(model: Any, path: str | Path) -> dict:
    texts = {p.key: p.value for p in model.metadata_props}
    found = {}
    for field in ("preset", *_FIELDS):
        if field not in texts:
            missing = f"its metadata has no {field!r}; name what it was exported from"
            raise ExportError(f"{path}: not a model of `ssdzoo export --format onnx`: {missing}")
        try:
            found[field] = texts[field] if field == "preset" else json.loads(texts[field])
        except (ValueError, RecursionError):
            raise ExportError(f"{path}: its metadata field {field!r} is {brief(texts[field])}; expected JSON") from None
        test, expected = _FIELDS.get(field, (str.isprintable, "a name"))
        if not test(found[field]):
            raise ExportError(f"{path}: its metadata field {field!r} is {brief(texts[field])}; expected {expected}")
    return found


def _check_interface(model: Any, pixels: bool, path: str | Path) -> None:
    """
    Raises:
        ExportError: the input or the outputs are others than those that `to_onnx` writes.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = {i.name: i.type.tensor_type for i in model.graph.input if i.name not in stored}
    kind, axes = (2, 4) if pixels else (1, 4)  # uint8 or float32
    taken = inputs.get("images")
    if len(inputs) != 1 or taken is None or taken.elem_type != kind or len(taken.shape.dim) != axes:
        raise ExportError(
            f"{path}: its inputs [{short(', '.join(map(str, inputs)))}] are not the one of `ssdzoo export`: images, "
            f"{'uint8 (B, H, W, 3)' if pixels else 'float32 (B, 3, H, W)'}; export the model again"
        )
    outputs = {o.name: o.type.tensor_type for o in model.graph.output}
    for name, count in _DETECTIONS.items():
        if name not in outputs or outputs[name].elem_type != 1 or len(outputs[name].shape.dim) != count:
            found = short(", ".join(map(str, outputs)))
            raise ExportError(f"{path}: its outputs [{found}] lack float32 {name!r} of {count} axes; export the model again")


def read_onnx_preset(path: str | Path, given: tuple | None = None) -> Preset:
    """The Preset (input size, classes, mean, std, limits) of an exported model.

    Args:
        given: (mean, std) that the user gave, for a file that does not say them.

    Raises:
        ExportError: not a model with detections and a known input size.
        CallError: mean and std are neither in the file nor given, or both.
    """
    model = _load(path)
    found = _metadata_of(model, path)
    if found["raw"]:
        raise ExportError(f"{path}: gives head outputs; export the model with raw=False to find objects with it")
    if not found["size"]:
        raise ExportError(f"{path}: does not say for which input size it was made; export it with a sidecar (base_size) again")
    if not found["classes"]:
        raise ExportError(f"{path}: does not name its classes; export it with a sidecar (classes) again")
    _check_interface(model, found["preprocess"], path)
    if given and found["mean"]:
        raise CallError(f"{path} says its mean and std itself: leave mean= and std= out")
    names = {"classes": "classes", "size": "base_size", "mean": "mean", "std": "std"}
    nms = {f"nms_{key}" if key != "post" else "post_nms": found["nms"].get(key) for key in ("thresh", "topk", "post")}
    known = {**{field: found[key] for key, field in names.items()}, **nms}
    try:
        fields = check_fields({k: v for k, v in known.items() if v is not None}, f"{path}: its metadata")
    except CallError as error:
        raise ExportError(str(error)) from None
    # Only a graph with MultiBoxDetection is exported without them.
    taken = GraphInput("images", False, None, multi_box=not found["mean"])
    mean, std = given or (fields.get("mean"), fields.get("std"))
    mean, std = taken.normalization(mean, std, str(path))
    return Preset(
        name=found["preset"] or Path(path).stem, backbone="onnx", sizes=(), ratios=(), **{**fields, "mean": mean, "std": std}
    )
