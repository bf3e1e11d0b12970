"""Which mean and std a model was trained with, found by the mAP that it reaches with each of those in use."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ssdzoo.data import Dataset, load_dataset
from ssdzoo.errors import CallError
from ssdzoo.measure.evaluate import check_metric, evaluate, name_classes
from ssdzoo.model_source import SymbolSource, resolve
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.load import open_source
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD, in_unit
from ssdzoo.progress import Silent

_CLEAR = 0.02  # by which the mAP of the best one must be above that of the next


@dataclass(frozen=True)
class Normalization:
    """A mean and a std as their projects write them.

    Attributes:
        used_by: these projects.
        mean, std: of red, green and blue; in 0..1, or both of pixels 0..255, of which a std of 1 is.
        mAP: what the model reaches with them, or None.
    """

    used_by: str
    mean: tuple
    std: tuple
    mAP: float | None = None


NORMALIZATIONS = (
    Normalization("SageMaker's samples, D2L's book", (0, 0, 0), (1, 1, 1)),
    Normalization("mxnet-ssd", (123, 117, 104), (1, 1, 1)),
    Normalization("GluonCV", IMAGENET_MEAN, IMAGENET_STD),
)


def try_normalizations(model: str | Path, data: str | Path | Dataset, split: str = "test", metric: str = "voc07", *,
                       format: str | None = None, image_folder: str | Path | None = None, backend: str | None = None,
                       ctx: Any = None, classes: Iterable[str] | None = None, suppress: str | None = None,
                       progress: Silent | None = None) -> list[Normalization]:  # fmt: skip
    """NORMALIZATIONS with the mAP that an exported model reaches with each, best first.

    Args:
        model: an exported model that does not say how its images are normalized.
        data: what `ssdzoo.evaluate` takes, with true boxes.

    The other arguments and the errors are those of `ssdzoo.evaluate`.

    Raises:
        CallError: also a model that says its mean and std itself.

    Example:
        >>> from ssdzoo.measure.normalizations import try_normalizations
        >>> best = try_normalizations("model.tar.gz", "data/cells")[0]
        >>> detector = ssdzoo.load("model.tar.gz", mean=best.mean, std=best.std)
    """
    check_metric(metric)
    progress = progress or Silent()
    first = NORMALIZATIONS[0]
    source = resolve(model, None, first.mean, first.std, classes, suppress)
    if not isinstance(source, SymbolSource):
        raise CallError(f"{model} says its mean and std itself: there is nothing to try")
    detector = open_source(source, backend, ctx, "f32")
    if not isinstance(data, Dataset):
        detector = name_classes(detector, data, format, progress)
        data = load_dataset(data, split, detector.names, format, image_folder, progress)
    tried = []
    for each in NORMALIZATIONS:
        mean, std = in_unit(each.mean, each.std, each.used_by, pixels=max(each.std) >= 1)
        one = Detector(detector.backend, replace(detector.preset, mean=mean, std=std))
        tried.append(replace(each, mAP=float(evaluate(one, data, metric=metric, progress=progress)["mAP"])))
    return sorted(tried, key=lambda each: -1 if each.mAP != each.mAP else each.mAP or 0, reverse=True)


def verdict(tried: list[Normalization]) -> str | None:
    """Why the first of those that were tried may not be the right one; None where it clearly is."""
    best, second = (each.mAP or 0 for each in tried[:2])
    if not best > 0:  # also where it has no value
        return "with none of them the model finds an object: are these images and classes those that it was trained for?"
    if best - second < _CLEAR:
        return f"the first two are nearly equal ({best:.4f} and {second:.4f}): take more images"
    return None
