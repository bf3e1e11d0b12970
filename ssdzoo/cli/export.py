"""`ssdzoo export`: a model for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ssdzoo.cli.options import (
    FORCE,
    Classes,
    Gpus,
    Mean,
    Model,
    Std,
    Suppress,
    Weights,
    check_files,
    check_folder,
    option,
    prepare,
)
from ssdzoo.errors import CallError

if TYPE_CHECKING:
    from ssdzoo.model_source import ModelSource

_ONNX = "ONNX"
_RAW = "Give the head outputs (class logits, box offsets, anchors) in place of detections."
_WITH_PREPROCESS = "Take uint8 RGB images (B, H, W, 3) and normalize them inside."


def export(
    model: Model,
    out: Annotated[Path, option("Folder for the files.", show_default=False)],
    format: Annotated[str, option("symbol: NAME-symbol.json, NAME-0000.params and NAME.toml. onnx: NAME.onnx.")] = "symbol",
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    classes: Classes = None,
    suppress: Suppress = None,
    gpus: Gpus = None,
    force: Annotated[bool, FORCE] = False,
    opset: Annotated[int, option("Version of the ONNX operator set.", panel=_ONNX)] = 17,
    raw: Annotated[bool, option(_RAW, "--raw", panel=_ONNX)] = False,
    with_preprocess: Annotated[bool, option(_WITH_PREPROCESS, "--with-preprocess", panel=_ONNX)] = False,
    dynamic_size: Annotated[bool, option("Take images of any height and width.", "--dynamic-size", panel=_ONNX)] = False,
) -> None:
    """Export a model: as a symbol that MXNet loads without ssdzoo, or as ONNX for today's runtimes.

    NAME is that of the run's folder, or that of the model.

    An exported model, also of GluonCV or of an older SSD (a folder with NAME-symbol.json and NAME-0000.params), becomes ONNX
    without mxnet.
    """
    if out.suffix != ".onnx":
        check_folder(out)
    options = {"opset": opset, "raw": raw, "with_preprocess": with_preprocess, "dynamic_size": dynamic_size}
    if format == "onnx":
        _export_onnx(_resolved(model, weights, mean, std, classes, suppress), out, gpus, force, options)
    elif format != "symbol":
        raise CallError(f"no format {format!r}; there are symbol and onnx")
    elif options != {"opset": 17, "raw": False, "with_preprocess": False, "dynamic_size": False}:
        raise CallError("--opset, --raw, --with-preprocess and --dynamic-size are for --format onnx")
    else:
        _export_symbol(_resolved(model, weights, mean, std, classes, suppress), out, gpus, force)


def _resolved(*given: Any) -> "ModelSource":
    from ssdzoo.model_source import resolve

    return resolve(*given)


def _export_symbol(source: "ModelSource", out: Path, gpus: str | None, force: bool) -> None:
    check_files([out / f"{source.name}{end}" for end in ("-symbol.json", "-0000.params", ".toml")], force)
    contexts = prepare(gpus)
    from ssdzoo.export.symbol import export_model

    source = source.located()
    path = export_model(source.network(contexts), source.preset, out, source.name)
    print(f"{path}-symbol.json, {path.name}-0000.params, {path.name}.toml")


def _export_onnx(source: "ModelSource", out: Path, gpus: str | None, force: bool, options: dict) -> None:
    from ssdzoo.export.onnx_file import export_onnx, onnx_file
    from ssdzoo.model_source import NetworkSource

    check_files([onnx_file(out, source.name)], force)

    # What is exported already needs no mxnet, which may not be there.
    contexts = prepare(gpus) if isinstance(source, NetworkSource) else None
    path = export_onnx(source, out, ctx=contexts, **options)
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
