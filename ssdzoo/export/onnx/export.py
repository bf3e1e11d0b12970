"""`to_onnx`: a symbol and its parameters as one ONNX file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from ssdzoo.errors import CallError, ExportError
from ssdzoo.export.onnx import interface
from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.onnx.fold_norms import fold_norms
from ssdzoo.export.onnx.translate import Translation, translate
from ssdzoo.files import replacing
from ssdzoo.formats.detection_graph import read_detection, with_suppression
from ssdzoo.formats.graph_heads import detected_heads, find_decoding
from ssdzoo.formats.graph_input import input_of
from ssdzoo.formats.params_file import read_params, strip_prefix
from ssdzoo.formats.symbol_file import SymbolGraph
from ssdzoo.quote import short
from ssdzoo.version import __version__
from ssdzoo.zoo import default_class_names

OLDEST_OPSET = 13
_LARGEST = 2**31 - 2**20  # bytes; protobuf can't hold a message of 2 GiB


def to_onnx(symbol_json: str | Path | SymbolGraph, params: str | Path | dict, out: str | Path, *,
            size: Sequence[int] | None = None, dynamic_size: bool = False, opset: int = 17, raw: bool = False,
            with_preprocess: bool = False, classes: Sequence[str] | None = None, mean: Sequence[float] | None = None,
            std: Sequence[float] | None = None, preset: str = "", max_detections: int | None = None,
            suppress: str | None = None) -> Path:  # fmt: skip
    """Writes an exported SSD (of ssdzoo, GluonCV, or an older one with MultiBoxDetection) as ONNX; needs no mxnet. Of the symbol
    of a training, as mxnet-ssd and SageMaker save it, the detection is taken.

    Input `images`: (B, 3, H, W) float32 RGB, normalized as the network takes it; pixels 0 to 255 where its symbol normalizes them
    itself, as those of GluonCV's `export_block` do (see `ssdzoo.formats.graph_input`). With `with_preprocess`: (B, H, W, 3) uint8
    RGB. B is free. Batch norms become part of the convolutions before them.
    Outputs: `boxes` (B, 100, 4) float32, corners in pixels of the input; `scores` (B, 100) float32; `class_ids` (B, 100) float32,
    from 0; best first, -1 where there is no detection. Thresholds and limits of NMS are those of the symbol. With `raw`:
    `logits` (B, N, C + 1), background first; `offsets` (B, N, 4); `anchors` (1, N, 4), center form, pixels.

    Args:
        symbol_json: path of NAME-symbol.json, its text, or its graph as `ssdzoo.formats.detection_graph.read_detection` reads it.
        params: path of NAME-0000.params, or {name: array}.
        out: path of the .onnx file.
        size: (H, W) of the input in pixels; None leaves both free.
        dynamic_size: leaves them free although `size` says what the model is made for.
        opset: version of ONNX's operators, 13 or newer; the file gets the oldest IR version that holds it.
        classes: names; None takes those of VOC for 20 and those of COCO for 80, and else numbers them.
        mean, std: of RGB in 0..1 (or both of pixels 0..255), for `with_preprocess` and for the metadata; ImageNet's by default,
            and not used where the symbol normalizes its input. A symbol with MultiBoxDetection has no default: without them
            the metadata say null.
        preset: name of the model's preset, for the metadata.
        max_detections: rows of the outputs; None for the symbol's own limit (100 in GluonCV's), or 100 where it has none.
        suppress: what the NMS compares: "per-class", the boxes of one class, or "across", of all classes. None leaves it as the
            symbol says.

    Returns:
        `out` as a Path.

    Raises:
        ExportError: an operator that is not known (with its node and inputs), a file that is not a symbol, 2 GB or more.
        WeightsError: a parameter file that cannot be read.
        CallError: an opset that this onnx does not have, a wrong number of class names, or `with_preprocess` without mean and std
            for a symbol with MultiBoxDetection.
    """
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise CallError(f"opset {opset}: expected {OLDEST_OPSET} to {newest} (the newest one that onnx {onnx.__version__} has)")
    graph = symbol_json if isinstance(symbol_json, SymbolGraph) else read_detection(symbol_json)
    graph, arrays = with_suppression(graph, suppress) if suppress else graph, _arrays(params)
    taken = input_of(graph, arrays)
    if with_preprocess or not (taken.needs_normalization and mean is std is None):
        mean, std = taken.normalization(mean, std, graph.source)
    graph, arrays = fold_norms(graph, arrays)
    g = Builder(opset)
    images, fed, planes = interface.image_input(
        g, None if dynamic_size else size, with_preprocess, taken.channels_last, mean, std
    )
    done = translate(g, graph, arrays, taken.name, fed)
    if raw:
        outputs = interface.head_outputs(g, done, planes)
    else:
        outputs = interface.detections(g, done, planes, graph, max_detections)
    about = About(preset, classes, mean, std, size, raw, with_preprocess)
    metadata = _metadata(about, done, outputs)
    if g.constant_bytes(outputs) > _LARGEST:
        raise ExportError(
            f"{out}: the weights are {g.constant_bytes(outputs) / 1e9:.1f} GB, and an ONNX file holds less than 2 GB"
        )
    model = g.model(outputs, metadata, _doc(outputs, images))
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of onnx's own types, which share no base
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"{graph.source}: makes no ONNX model that is right: {short(lines[0], 200)}") from error
    with replacing(out) as temporary:
        onnx.save_model(model, str(temporary))
    return Path(out)


def _arrays(params: str | Path | dict) -> dict:
    """{name: array}, names without `arg:` and `aux:`."""
    if not isinstance(params, dict):
        params = read_params(params)
    return {strip_prefix(name): array for name, array in params.items()}


@dataclass(frozen=True)
class About:
    """What an ONNX file says about its model, beside what is read from its symbol; the arguments of `to_onnx`."""

    preset: str
    classes: Sequence | None
    mean: Sequence[float] | None
    std: Sequence[float] | None
    size: Sequence[int] | None
    raw: bool
    preprocess: bool


def _metadata(about: About, done: Translation, outputs: dict) -> dict:
    """{key: text} for the file; all but `producer` and `preset` are JSON."""
    nms, decoding, heads = done.notes.nms, find_decoding(done.graph), detected_heads(done.graph)
    count = outputs["logits"][0].dims[2] - 1 if about.raw else nms and nms.classes
    if about.classes is not None and count is not None and len(about.classes) != count:
        raise CallError(f"{done.graph.source}: {len(about.classes)} class names for a model of {count} classes")
    names = list(about.classes) if about.classes is not None else default_class_names(count or 0)
    values = {
        "classes": names,
        **{name: value and list(map(float, value)) for name, value in (("mean", about.mean), ("std", about.std))},
        "size": list(about.size) if about.size else None,
        "nms": {k: getattr(nms, k, None) for k in ("thresh", "topk", "valid_thresh")}
        | {"post": None if about.raw else outputs["boxes"][1][1]},
        "stds": decoding and list(decoding.stds),
        # The tensors of the head outputs: what comes before them may run in a low precision, what comes after may not.
        "heads": [done.values[heads.logits].name, done.notes.offsets.name] if heads and done.notes.offsets else None,
        "raw": about.raw,
        "preprocess": about.preprocess,
    }
    return {"producer": f"ssdzoo {__version__}", "preset": about.preset, **{k: json.dumps(v) for k, v in values.items()}}


def _doc(outputs: dict, images: Value) -> str:
    shapes = ", ".join(f"{name} {tuple(dims)}" for name, (_, dims) in outputs.items())
    return f"SSD object detector. Input images {tuple(images.dims)}; outputs {shapes}. Boxes are xyxy pixels of the input."
