"""Code of the user's in the place of a table, such as an Albumentations' transform: an object, or its import path.

It is called as `transform(image=, bboxes=, class_ids=)` with an image (H, W, 3) uint8 RGB, boxes (M, 4) float32 xyxy in its
pixels, and class ids (M,) int32, and returns a dict with the same names. The image that it returns may have another size; the
loader resizes it to the network's input. So an `albumentations.Compose` with
`BboxParams(format="pascal_voc", label_fields=["class_ids"])` is one as it is.
"""

import importlib
import pickle
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator

from ssdzoo import boxes as geometry
from ssdzoo.augmentation.named import find_augmentation
from ssdzoo.augmentation.table import Augmentation
from ssdzoo.errors import CallError, DataError
from ssdzoo.quote import brief, short

_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_import_path(value: Any) -> bool:
    """Whether it is a text such as "package.module:function"."""
    return isinstance(value, str) and _IMPORT_PATH.fullmatch(value) is not None


@dataclass(frozen=True)
class Transform:
    """Code of the user's.

    Attributes:
        source: a callable, or its import path, from which each process imports it.
    """

    source: Any

    @cached_property
    def function(self) -> Callable:
        """The callable.

        Raises:
            CallError: it cannot be imported or called, or leaves boxes as they are.
        """
        found = self._imported() if is_import_path(self.source) else self.source
        if not callable(found):
            raise CallError(f"{self._named}: it is {brief(found)}, which cannot be called; expected a function")
        if hasattr(found, "processors"):  # of Albumentations
            params = getattr(found.processors.get("bboxes"), "params", None)
            fields = getattr(params, "label_fields", None) or ()
            if getattr(params, "format", None) != "pascal_voc" or "class_ids" not in fields:
                raise CallError(
                    f"{self._named}: expected an Albumentations' transform with "
                    'bbox_params=BboxParams(format="pascal_voc", label_fields=["class_ids"])'
                )
        return found

    def _imported(self) -> Any:
        module, _, name = self.source.partition(":")
        try:
            found = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as error:  # whatever the module raises when it is imported
            raise CallError(f"{self._named}: cannot be imported: {type(error).__name__}: {short(error, 200)}") from error
        return found

    @property
    def path(self) -> str:
        """The import path; of an object that of its class, from which it cannot be made again."""
        if isinstance(self.source, str):
            return self.source
        named = self.source if hasattr(self.source, "__qualname__") else type(self.source)
        return re.sub(r"[^\w.:]", "_", f"{named.__module__}:{named.__qualname__}")  # of a lambda, too

    def check_for_workers(self) -> None:
        """Before processes are started that need it.

        Raises:
            CallError: it cannot be given to them.
        """
        try:
            pickle.dumps(self.source)
        except Exception as error:  # objects raise what they like
            raise CallError(
                f"{self._named}: cannot be given to loader processes ({short(error, 200)}): use a module's function, or workers=0"
            ) from None

    def __call__(self, image: np.ndarray, boxes: np.ndarray, class_ids: np.ndarray, rng: Generator, name: Any,
                 classes: int) -> tuple:  # fmt: skip
        """What the code makes of a sample: (image, boxes (K, 4), class ids (K,)); boxes are clipped to the image, and those
        of less than a pixel are left out.

        Args:
            image: (H, W, 3) uint8; boxes: (M, 4) in its pixels; class_ids: (M,).
            rng: gives the seed that the code draws from.
            name: of the image, in errors.
            classes: how many there are.

        Raises:
            DataError: the code raised, or returned something else.
        """
        function = self.function
        try:
            with _seeded(int(rng.integers(1 << 32)), function):
                result = function(image=image, bboxes=boxes, class_ids=class_ids)
        except Exception as error:
            raise DataError(f"{name}: {self._named} failed: {type(error).__name__}: {short(error, 300)}") from error
        try:
            return _checked(result, classes)
        except (ValueError, TypeError, KeyError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{name}: {self._named} returned what is no sample: {short(why, 300)}") from None

    @property
    def _named(self) -> str:
        return f"augment={short(self.path, 200)}"


def _checked(result: Any, classes: int) -> tuple:
    if not isinstance(result, dict):
        raise ValueError(f"{type(result).__name__}; expected a dict with image, bboxes and class_ids")
    image, boxes = np.asarray(result["image"]), geometry.as_boxes(result["bboxes"])
    ids = np.asarray(result["class_ids"]).reshape(-1)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"an image {image.shape} of {image.dtype}; expected (H, W, 3) of uint8")
    if len(ids) != len(boxes) or not np.isfinite(boxes).all():
        raise ValueError(f"{len(boxes)} boxes and {len(ids)} class_ids; expected as many of both, and finite numbers")
    if not np.isin(ids, np.arange(classes)).all():
        raise ValueError(f"class_ids {brief(sorted({*ids.tolist()} - {*range(classes)})[0])}; expected 0 to {classes - 1}")
    boxes = geometry.clip(boxes, *image.shape[:2])
    keep = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
    return image, boxes[keep], ids[keep].astype(np.int32)


def as_augmentation(value: Any) -> Augmentation | Transform:
    """What a user names by `augment`: a name, a table or its file (see `find_augmentation`), a callable or its import path.

    Raises:
        CallError: none of these.
    """
    if isinstance(value, Transform):
        return value
    return Transform(value) if callable(value) or is_import_path(value) else find_augmentation(value)


@contextmanager
def _seeded(seed: int, function: Any) -> Iterator[None]:
    """Python's and numpy's random numbers, and those of an Albumentations' transform, begin at a seed; afterwards the first two
    are as they were."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    if hasattr(function, "set_random_seed"):  # Albumentations from 1.4.18 on
        function.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
