"""What a training starts from: a backbone, or the weights of a whole detector, which may be of other classes."""

from pathlib import Path
from typing import Any

from ssdzoo.build import get_model
from ssdzoo.errors import WeightsError
from ssdzoo.formats.network_params import read_network_params
from ssdzoo.network import SSD
from ssdzoo.preset import Preset
from ssdzoo.progress import counted
from ssdzoo.train.settings import RANDOM
from ssdzoo.weights.file_classes import class_count, find_params, known_classes
from ssdzoo.weights.matching import load_backbone, load_published_backbone
from ssdzoo.weights.published import ROOT, sources_of
from ssdzoo.weights.sources import find_source

_SUFFIXES = (".params", ".pth", ".safetensors", ".h5", ".onnx", ".npz")


def check_backbone_file(path: str | Path) -> None:
    """Before the data are read, what is no file of a backbone.

    Raises:
        WeightsError: a missing file, a run folder, or the parameter file of a detector.
    """
    path = Path(path)
    if path.suffix in _SUFFIXES and not path.exists() and not find_source(str(path)):
        raise WeightsError(f"base_weights={path}: no such file")
    if path.is_dir() or (path.suffix == ".params" and path.exists() and _is_detector(path)):
        raise WeightsError(f"base_weights={path}: holds a whole detector and not a backbone: start from it with weights={path}")


def _is_detector(path: Path) -> bool:
    return any(name.split(":")[-1].startswith(("class_predictors.", "ssd0_convpredictor")) for name in read_network_params(path))


def load_for_classes(preset: Preset, path: str | Path, ctx: Any) -> tuple[SSD, str]:
    """A network for the preset's classes with the weights of a file that may have been trained on others.

    Class heads keep the weights of the classes that both have.

    Args:
        preset: the model, with the wanted classes.
        path: parameter file of the same architecture, or the folder of a run.
        ctx: context or list of contexts.

    Returns:
        The network, and a sentence that says which classes kept their weights.

    Raises:
        WeightsError: a file of another architecture.
    """
    path, wanted = find_params(path), list(preset.classes or ())
    classes, count = known_classes(path), class_count(path)
    if classes is not None and len(classes) != count:
        classes = None
    if classes is None and count == len(wanted):
        story = f"{path} does not name its {counted(count, 'class')}: taken to be {', '.join(wanted)}"
        return get_model(preset, ctx=ctx, pretrained=path), story
    names = classes or [f"unknown {i}" for i in range(count)]
    net = get_model(preset.with_classes(names), ctx=ctx, pretrained=path)
    kept = [name for name in wanted if name in names]
    if wanted != names:
        net.reset_class(wanted, reuse_weights=kept)
    return net, f"class weights kept from {path}: {', '.join(kept) or 'none'}"


def start_backbone(net: SSD, preset: Preset, which: str | Path | None) -> str:
    """Fills the backbone of a network with random weights, and says with what.

    Args:
        net: the network.
        preset: its Preset.
        which: a file; the name of one in the table of sources; "none" for the random weights; None for the published file of the
            backbone, which may be downloaded. Where none was ever published, the random weights stay.

    Raises:
        WeightsError: a file of another backbone; or there is none, neither on this machine nor elsewhere.
    """
    name = "" if which is None else str(which)
    if name == RANDOM:
        return "random weights (base_weights= trains better)"
    if name and (Path(name).is_file() or not find_source(name)):
        load_backbone(net, name)
        return f"backbone from {name}"
    if not name and not sources_of(preset.backbone):
        return f"random weights, because nobody publishes weights of {preset.backbone}"
    try:
        found = load_published_backbone(net, preset.backbone, name or True, ROOT)
    except WeightsError as error:
        raise WeightsError(f"{error}; to start from random weights: base_weights={RANDOM}") from None
    return f"backbone from {found.story}"
