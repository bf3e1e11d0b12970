"""Weights of one set of classes for a network of another one."""

from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.preset import read_preset
from ssdzoo.registry import find_preset, get_model
from ssdzoo.weights.sources import read_named


def find_params(path) -> Path:
    """The parameter file of a run folder, or the file itself."""
    path = Path(path)
    if not path.is_dir():
        return path
    if not (path / "best.params").is_file():
        raise WeightsError(f"{path}: no best.params in this folder; name a parameter file or the folder of a run")
    return path / "best.params"


def known_classes(path):
    """The class names of a parameter file: from its sidecar (`NAME.toml`, or the `model.toml` of a run), or from `_voc` or
    `_coco` in its name; else None."""
    sidecars = [p for p in (path.with_suffix(".toml"), path.with_name("model.toml")) if p.is_file()]
    if sidecars:
        return list(read_preset(sidecars[0]).classes or ()) or None
    for dataset in ("voc", "coco"):
        if f"_{dataset}" in path.stem:
            return list(find_preset(f"ssd_300_vgg16_atrous_{dataset}").classes)
    return None


def load_for_classes(preset, path, ctx) -> tuple:
    """A network for the preset's classes with the weights of a file that may have been trained on others.

    Args:
        preset: the model, with the wanted classes.
        path: parameter file of the same architecture, or the folder of a run.
        ctx: context or list of contexts.

    Returns:
        The network, and a sentence that says which classes kept their weights.

    Raises:
        WeightsError: a file of another architecture.
    """
    path = find_params(path)
    classes, count = known_classes(path), class_count(path)
    if classes is not None and len(classes) != count:
        classes = None
    if classes is None and count == len(preset.classes):
        classes = list(preset.classes)
        story = f"{path} does not name its {count} classes: taken to be {', '.join(classes)}"
        net = get_model(preset, ctx=ctx, pretrained=path)
        return net, story
    names = classes or [f"unknown {i}" for i in range(count)]
    net = get_model(preset.with_classes(names), ctx=ctx, pretrained=path)
    kept = [name for name in preset.classes if name in names]
    if list(preset.classes) != names:
        net.reset_class(list(preset.classes), reuse_weights=kept)
    return net, f"class weights kept from {path}: {', '.join(kept) or 'none'}"


def class_count(path) -> int:
    """Number of classes, without the background, of a parameter file of a whole SSD.

    Raises:
        WeightsError: no class heads or no anchors in it, or they don't fit together.
    """
    arrays = read_named(path)
    weights = [a for n, a in arrays.items() if n.endswith(("class_predictors.0.predictor.weight", "convpredictor0_conv0_weight"))]
    anchors = [a for n, a in arrays.items() if n.endswith(("anchor_generators.0.anchors", "anchor_0"))]
    if not weights or not anchors or not weights[0].ndim or not anchors[0].ndim:
        raise WeightsError(f"{path}: not the weights of a whole SSD; for a backbone's file use --base-weights")
    outputs, per_pixel = weights[0].shape[0], anchors[0].shape[-1] // 4
    if not per_pixel or outputs % per_pixel or outputs < 2 * per_pixel:
        raise WeightsError(f"{path}: {outputs} class outputs don't divide by {per_pixel} anchors per pixel")
    return outputs // per_pixel - 1
