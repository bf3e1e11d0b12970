"""What a training starts from: a backbone, or the weights of a whole detector, which may be of other classes."""

from math import log
from pathlib import Path
from typing import Any

from ssdzoo.build import get_model
from ssdzoo.errors import WeightsError
from ssdzoo.network import SSD
from ssdzoo.nn.parameters import HE_FAN_IN
from ssdzoo.preset import Preset
from ssdzoo.progress import counted
from ssdzoo.runtime import mx
from ssdzoo.train.settings import RANDOM, Arguments, Settings
from ssdzoo.weights.file_classes import class_count, find_params, known_classes
from ssdzoo.weights.matching import load_backbone, load_published_backbone
from ssdzoo.weights.published import ROOT, sources_of
from ssdzoo.weights.sources import find_source


def starting_network(arguments: Arguments, preset: Preset, contexts: list, saved: Path | None = None) -> tuple[SSD, str]:
    """The network with which a training begins, and a sentence about where its weights come from.

    Args:
        arguments: Arguments, whose settings are completed.
        preset: the Preset, with classes.
        contexts: where to train.
        saved: parameter file of a training that goes on.

    Raises:
        WeightsError: weights that cannot be read or do not fit.
    """
    mx.random.seed(arguments.settings.seed)
    if saved:
        return get_model(preset, ctx=contexts, pretrained=saved), f"continued from {saved}"
    if arguments.weights:
        return load_for_classes(preset, arguments.weights, contexts)
    net = new_network(preset, arguments.settings, contexts)
    return net, start_backbone(net, preset, arguments.base_weights)


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
        return "random weights, as asked for; trained ones learn faster"
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


def start_preset(preset: Preset, which: str | Path | None) -> tuple[SSD, str]:
    """A network as a training with the usual settings begins, on the CPU, and a sentence about where its backbone comes from.

    Args:
        preset: with classes.
        which: see `start_backbone`.

    Raises:
        WeightsError: as `start_backbone`.
    """
    net = new_network(preset, Settings().completed(preset), [mx.cpu()])
    return net, start_backbone(net, preset, which)


def new_network(preset: Preset, settings: Settings, contexts: list) -> SSD:
    """A network with the random weights from which a training begins."""
    net = get_model(preset)
    net.initialize(HE_FAN_IN, ctx=contexts)  # the fan-out of a depthwise convolution is not what its shape says
    if settings.class_loss == "focal":
        _expect_background(net)
    return net


def _expect_background(net: Any, share: float = 0.99) -> None:
    """Lets new class predictors begin with that probability of the background (Lin et al. 2017, section 4.1), as nearly all
    anchors are."""
    for head in net.class_predictors:
        bias = head.predictor.bias
        start = mx.nd.zeros(bias.shape)
        start[:: net.num_classes + 1] = log(net.num_classes * share / (1 - share))
        bias.set_data(start)
