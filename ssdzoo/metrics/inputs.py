"""Checks the arguments of all metrics: the detections and the objects of one image."""

from collections.abc import Iterable

import numpy as np

from ssdzoo.errors import CallError

Array = np.ndarray | list  # what the arguments may be


def as_names(class_names: Iterable[str]) -> list:
    """The class names as a list.

    Raises:
        CallError: a name that comes twice.
    """
    names = list(class_names)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise CallError(f"class name {twice[0]!r} comes twice: each needs a name of its own")
    return names


def as_detections(names: list, boxes: Array, ids: Array, scores: Array) -> tuple:
    """Boxes (N, 4) float64, ids (N,) int64 and scores (N,) float64, without padding, in the order given, of arrays or lists.

    Raises:
        CallError: shapes or lengths that don't match, an id without a name, a box or a score that is not finite.
    """
    found = _checked("detections", names, boxes, ids, scores)
    finite = np.isfinite(found[2])
    if not finite.all():
        raise CallError(f"scores must be finite, got {found[2][~finite][0]}")
    return found


def as_objects(names: list, boxes: Array, ids: Array, *flags: Array | None) -> tuple:
    """Boxes (M, 4) float64, ids (M,) int64 and each of `flags` as (M,) bool, all False for None, without padding.

    Raises:
        CallError: shapes or lengths that don't match, an id without a name, a box that is not finite.
    """
    known = (np.zeros(np.size(ids), bool) if flag is None else flag for flag in flags)
    real_boxes, real_ids, *real_flags = _checked("objects", names, boxes, ids, *known)
    return real_boxes, real_ids, *(flag.astype(bool) for flag in real_flags)


def _checked(what: str, names: list, boxes: Array, ids: Array, *more: Array) -> tuple:
    boxes = np.asarray(boxes, np.float64)
    if boxes.size and boxes.shape[-1] != 4:
        raise CallError(f"{what}: boxes must be (N, 4), got {boxes.shape}")
    boxes = boxes.reshape(-1, 4)
    ids, *extras = (np.asarray(values, np.float64).reshape(-1) for values in (ids, *more))
    for extra in extras:
        if not len(boxes) == len(ids) == len(extra):
            raise CallError(f"{what}: {len(boxes)} boxes, {len(ids)} ids and {len(extra)} scores or flags don't belong together")
    wrong = ~((ids == np.floor(ids)) & (ids >= -1) & (ids < len(names)))  # NaN is wrong too
    if wrong.any():
        count = len(names)
        raise CallError(f"{what}: class id {ids[wrong][0]:g}, but there are {count} names: expected 0 to {count - 1}, or -1")
    real = ids >= 0
    broken = ~np.isfinite(boxes[real]).all(axis=1)
    if broken.any():
        raise CallError(f"{what}: boxes must be finite, got {boxes[real][broken][0].tolist()}")
    return boxes[real], ids[real].astype(np.int64), *(extra[real] for extra in extras)
