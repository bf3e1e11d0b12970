"""`ssdzoo export`: a model for other programs."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import FORCE, Gpus, check_files, check_folder, option, prepare
from ssdzoo.errors import CallError

if TYPE_CHECKING:
    from ssdzoo.model_source import ModelSource, NetworkSource

_FORMAT = "symbol: NAME-symbol.json, NAME-0000.params, NAME.toml. onnx: NAME.onnx. torch: model.py with its weights and table."
_FORMATS = ("symbol", "onnx", "torch")
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
    options = {"opset": opset, "raw": raw, "with_preprocess": with_preprocess, "dynamic_size": dynamic_size}
    if format not in _FORMATS:
        raise CallError(f"no format {format!r}; there are {', '.join(_FORMATS)}")
    if format != "onnx" and options != {"opset": 17, "raw": False, "with_preprocess": False, "dynamic_size": False}:
        raise CallError("--opset, --raw, --with-preprocess and --dynamic-size are for --format onnx")
    if heads and format != "symbol":
        raise CallError("--heads is for --format symbol")
    if not heads and base_weights:
        raise CallError("--base-weights is for --heads")
    if layout != "ssdzoo" and format != "torch":
        raise CallError("--layout is for --format torch")
    # With --heads the classes are those of new heads, and no names for what is there.
    source = (replace(choice, classes=None) if heads else choice).resolve()
    if format == "onnx":
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
    _check_symbol(source, out, force)
    contexts = prepare(gpus)
    from ssdzoo.export.symbol import export_detection, export_model

    if isinstance(source, SymbolSource):
        path = export_detection(source, out)
    else:
        source = source.located()
        path = export_model(source.network(contexts), source.preset, out, source.name)
    print(f"{path}-symbol.json, {path.name}-0000.params, {path.name}.toml")


def _check_symbol(source: "ModelSource", out: Path, force: bool) -> None:
    check_files([out / f"{source.name}{end}" for end in ("-symbol.json", "-0000.params", ".toml")], force)


def _export_heads(source: "ModelSource", out: Path, force: bool, classes: list[str] | None, base_weights: str | None) -> None:
    from ssdzoo.model_source import NetworkSource

    if not isinstance(source, NetworkSource):
        raise CallError(f"{source.model} is exported already: it is trained as it is")
    _check_symbol(source, out, force)
    prepare(None)
    from ssdzoo.export.heads import export_heads

    if classes is None:
        if base_weights:
            raise CallError("--base-weights starts a network with new heads: name its classes with --classes")
        source = source.located()
        net, preset, story = source.network(), source.preset, ""
    else:
        net, preset, story = _new_network(source, classes, base_weights)
    path = export_heads(net, preset, out, source.name)
    print(f"{path}-symbol.json, {path.name}-0000.params, {path.name}.toml{story}")


def _new_network(source: "NetworkSource", classes: list[str], base_weights: str | None) -> tuple:
    """An SSD with new heads, its Preset, and from where its backbone starts."""
    from ssdzoo.runtime import mx
    from ssdzoo.train.mxnet.starting_weights import new_network, start_backbone
    from ssdzoo.train.settings import Settings

    if source.has_weights:
        raise CallError(f"{source.model} has its classes: leave --classes out, or name the preset {source.preset.name} alone")
    preset = source.preset.with_classes(classes)
    net = new_network(preset, Settings().completed(preset), [mx.cpu()])
    return net, preset, f"; {start_backbone(net, preset, base_weights)}"


def _export_torch(source: "ModelSource", out: Path, force: bool, layout: str) -> None:
    from ssdzoo.export.torch.folder import FILES, export_torch, export_torchvision
    from ssdzoo.model_source import NetworkSource

    if layout not in ("ssdzoo", "torchvision"):
        raise CallError(f"no layout {layout!r}; there are ssdzoo and torchvision")
    names = FILES if layout == "ssdzoo" else (f"{source.name}.pth", f"{source.name}.toml")
    check_files([out / name for name in names], force)
    if isinstance(source, NetworkSource):
        prepare(None)
    if layout == "torchvision":
        export_torchvision(source, out)
    else:
        export_torch(source, out)
    print(", ".join([str(out / names[0]), *names[1:]]))


def _export_onnx(source: "ModelSource", out: Path, gpus: str | None, force: bool, options: dict) -> None:
    from ssdzoo.export.onnx_file import export_onnx, onnx_file
    from ssdzoo.model_source import NetworkSource

    check_files([onnx_file(out, source.name)], force)

    # What is exported already needs no mxnet, which may not be there.
    contexts = prepare(gpus) if isinstance(source, NetworkSource) else None
    path = export_onnx(source, out, ctx=contexts, **options)
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
