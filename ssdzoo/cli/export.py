"""`ssdzoo export`: a model for other programs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import FORCE, Gpus, check_files, check_folder, given_arguments, option, prepare
from ssdzoo.errors import CallError
from ssdzoo.exported_files import exported_paths

if TYPE_CHECKING:
    from ssdzoo.model_source import ModelSource

_FORMAT = "symbol: NAME-symbol.json, NAME-0000.params, NAME.toml. onnx: NAME.onnx. torch: model.py with its weights and table."
_FORMATS = ("symbol", "onnx", "torch")
# The format that an option is for.
_FORMAT_OF = {
    "opset": "onnx", "raw": "onnx", "with_preprocess": "onnx", "dynamic_size": "onnx", "layout": "torch", "heads": "symbol",
    "base_weights": "symbol",
}  # fmt: skip
_ONNX = "ONNX"
_TORCH = "torch"
_HEADS = "Head outputs"
_RAW = "Output class logits, box offsets and anchors in place of detections."
_WITH_PREPROCESS = "Take uint8 RGB images (B, H, W, 3), and normalize them in the graph."
_LAYOUT = "ssdzoo: a module of its own. torchvision: NAME.pth, a state dict of torchvision's ssd300_vgg16."
_ONLY_HEADS = "Write the head outputs as a symbol: what --engine torch trains where mxnet is not installed."
_BASE_WEIGHTS = (
    "Weights of the backbone, where a preset gets new heads for --classes: a file, the name of one that "
    "`ssdzoo models --weights` lists, or none for random weights."
)


@with_model("choice")
def export(
    context: typer.Context,
    choice: ModelChoice,
    out: Annotated[Path, option("Folder for the files.", show_default=False)],
    format: Annotated[str, option(_FORMAT)] = "symbol",
    gpus: Gpus = None,
    force: Annotated[bool, FORCE] = False,
    opset: Annotated[int, option("Version of ONNX's operator set.", panel=_ONNX)] = 17,
    raw: Annotated[bool, option(_RAW, "--raw", panel=_ONNX)] = False,
    with_preprocess: Annotated[bool, option(_WITH_PREPROCESS, "--with-preprocess", panel=_ONNX)] = False,
    dynamic_size: Annotated[bool, option("Take images of any height and width.", "--dynamic-size", panel=_ONNX)] = False,
    layout: Annotated[str, option(_LAYOUT, panel=_TORCH)] = "ssdzoo",
    heads: Annotated[bool, option(_ONLY_HEADS, "--heads", panel=_HEADS)] = False,
    base_weights: Annotated[Optional[str], option(_BASE_WEIGHTS, panel=_HEADS, metavar="FILE", show_default="published")] = None,
) -> None:
    """Export a model: as a symbol that MXNet loads without ssdzoo, as ONNX for today's runtimes, or as a torch module.

    NAME is the name of the run's folder, or that of the model.

    An exported model (NAME-symbol.json with NAME-0000.params), also one of GluonCV's or of an older SSD, becomes ONNX or a torch
    module without mxnet. Exported as a symbol again, it loses the losses and labels of its training, and gets a table.
    """
    if out.suffix != ".onnx":
        check_folder(out)
    if format not in _FORMATS:
        raise CallError(f"no format {format!r}; there are {', '.join(_FORMATS)}")
    for name in given_arguments(context):
        if _FORMAT_OF.get(name, format) != format:
            raise CallError(f"{name}= is for format={_FORMAT_OF[name]}")
    if not heads and base_weights:
        raise CallError("--base-weights is for --heads")
    # With --heads the classes are those of new heads, and no names for what is there.
    source = (replace(choice, classes=None) if heads else choice).resolve()
    if format == "onnx":
        options = {"opset": opset, "raw": raw, "with_preprocess": with_preprocess, "dynamic_size": dynamic_size}
        _export_onnx(source, out, gpus, force, options)
    elif format == "torch":
        _export_torch(source, out, force, layout)
    elif heads:
        _export_heads(source, out, force, choice.classes, base_weights)
    else:
        _export_symbol(source, out, gpus, force)


def _export_symbol(source: "ModelSource", out: Path, gpus: str | None, force: bool) -> None:
    from ssdzoo.model_source import OnnxSource, SymbolSource

    if isinstance(source, OnnxSource):
        raise CallError(f"{source.model} is an ONNX file: name the run or the exported model that it was made from")
    paths = exported_paths(out / source.name)
    check_files(paths, force)
    contexts = prepare(gpus)
    from ssdzoo.export.symbol import export_detection, export_model

    if isinstance(source, SymbolSource):
        export_detection(source, out)
    else:
        source = source.located()
        export_model(source.network(contexts), source.preset, out, source.name)
    print(_listed(paths))


def _export_heads(source: "ModelSource", out: Path, force: bool, classes: list[str] | None, base_weights: str | None) -> None:
    from ssdzoo.model_source import NetworkSource

    if not isinstance(source, NetworkSource):
        raise CallError(f"{source.model} is exported already: it is trained as it is")
    paths = exported_paths(out / source.name)
    check_files(paths, force)
    prepare(None)
    from ssdzoo.export.heads import export_heads

    if classes is None:
        if base_weights:
            raise CallError("--base-weights starts a network with new heads: name its classes with --classes")
        source = source.located()
        net, preset, story = source.network(), source.preset, ""
    else:
        if source.has_weights:
            raise CallError(f"{source.model} has its classes: leave --classes out, or name the preset {source.preset.name} alone")
        from ssdzoo.train.mxnet.starting_weights import start_preset

        preset = source.preset.with_classes(classes)
        net, start = start_preset(preset, base_weights)
        story = f"; {start}"
    export_heads(net, preset, out, source.name)
    print(f"{_listed(paths)}{story}")


def _listed(paths: Sequence[Path]) -> str:
    """Files of one folder, which is named once."""
    return ", ".join([str(paths[0]), *(path.name for path in paths[1:])])


def _export_torch(source: "ModelSource", out: Path, force: bool, layout: str) -> None:
    from ssdzoo.export.torch.folder import FILES, export_torch, export_torchvision
    from ssdzoo.model_source import NetworkSource

    if layout not in ("ssdzoo", "torchvision"):
        raise CallError(f"no layout {layout!r}; there are ssdzoo and torchvision")
    paths = [out / name for name in (FILES if layout == "ssdzoo" else (f"{source.name}.pth", f"{source.name}.toml"))]
    check_files(paths, force)
    if isinstance(source, NetworkSource):
        prepare(None)
    if layout == "torchvision":
        export_torchvision(source, out)
    else:
        export_torch(source, out)
    print(_listed(paths))


def _export_onnx(source: "ModelSource", out: Path, gpus: str | None, force: bool, options: dict) -> None:
    from ssdzoo.export.onnx_file import export_onnx, onnx_file
    from ssdzoo.model_source import NetworkSource

    check_files([onnx_file(out, source.name)], force)
    # What is exported already needs no mxnet, which may not be there.
    contexts = prepare(gpus) if isinstance(source, NetworkSource) else None
    path = export_onnx(source, out, ctx=contexts, **options)
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
