"""Training that starts from the weights of a detector, which may be of other classes."""

from pathlib import Path
from typing import Any

from ssdzoo.build import get_model
from ssdzoo.network import SSD
from ssdzoo.preset import Preset
from ssdzoo.weights.file_classes import class_count, find_params, known_classes


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
        story = f"{path} does not name its {count} classes: taken to be {', '.join(wanted)}"
        return get_model(preset, ctx=ctx, pretrained=path), story
    names = classes or [f"unknown {i}" for i in range(count)]
    net = get_model(preset.with_classes(names), ctx=ctx, pretrained=path)
    kept = [name for name in wanted if name in names]
    if wanted != names:
        net.reset_class(wanted, reuse_weights=kept)
    return net, f"class weights kept from {path}: {', '.join(kept) or 'none'}"
