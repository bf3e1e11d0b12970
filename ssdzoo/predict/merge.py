"""Detections of several views of an image as those of the image: each object once."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ssdzoo import boxes as geometry
from ssdzoo.detections import Detections
from ssdzoo.predict.tiles import Window
from ssdzoo.predict.views import View

BORDER = 0.02  # of a tile's side: a detection that comes so near to its border may be cut by it
COVERED = 0.5  # of the area of a cut detection, inside of one that goes on beyond the border
BEYOND = 0.1  # of the side of a cut detection: so far past the border reaches one that shows more of the object
WORTH = 0.3  # of the score of a cut detection, which one that replaces it has at least
VOTE = 0.5  # IoU from which on a box has a say in where the better one lies
_BLOCK = 512  # boxes whose overlaps with others are computed at once


def merge(parts: Sequence[tuple[View, Detections]], size: tuple[int, int], thresh: float, limit: int = -1) -> Detections:
    """The detections of all views of an image in its pixels, best first.

    1. An object that a tile's border cuts is found in part there, and again in another tile or in the whole image: `drop_cut`.
    2. Class by class, NMS decides between those that are left.
    3. A box of the NMS moves to the mean of the boxes of its class that overlap it, weighted by their scores (box voting:
       Gidaris & Komodakis 2015, section 5), and by the reciprocal of their window's side, because a box is the more exact
       the larger the network sees the object. A single view stays as it is.

    Args:
        parts: at least one view with its Detections, boxes in pixels of the view.
        size: (height, width) of the image.
        thresh: two boxes of one class with a higher IoU are one object.
        limit: maximum number of detections; -1 for all.
    """
    if len(parts) == 1:
        view, found = parts[0]
        found = Detections(view.to_image(found.boxes), found.scores, found.class_ids, found.names)
        return found[:limit] if limit > 0 else found
    boxes = np.concatenate([view.to_image(found.boxes) for view, found in parts])
    scores = np.concatenate([found.scores for _, found in parts])
    ids = np.concatenate([found.class_ids for _, found in parts])
    windows = list(dict.fromkeys(view.window for view, _ in parts))
    window_of = np.repeat([windows.index(view.window) for view, _ in parts], [len(found) for _, found in parts])
    touched = np.zeros((len(boxes), 4), bool)
    for i, window in enumerate(windows):
        mine = window_of == i
        touched[mine] = touched_borders(boxes[mine], window, size)
    borders = np.array(windows)[window_of]
    weights = scores / np.sqrt([(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in windows])[window_of]
    keep, voted = np.zeros(len(boxes), bool), boxes.copy()
    for class_id in np.unique(ids):
        mine = np.flatnonzero(ids == class_id)
        mine = mine[drop_cut(boxes[mine], scores[mine], borders[mine], touched[mine])]
        keep[mine[nms(boxes[mine], scores[mine], thresh)]] = True
        voted[mine] = vote(boxes[mine], weights[mine], max(VOTE, thresh))
    best = np.flatnonzero(keep)
    best = best[np.argsort(-scores[best], kind="stable")][: limit if limit > 0 else None]
    return Detections(voted[best], scores[best], ids[best], parts[0][1].names)


def touched_borders(boxes: np.ndarray, window: Window, size: tuple[int, int]) -> np.ndarray:
    """(M, 4) bool: which borders of their window the boxes (M, 4) reach, left, top, right and bottom, except those of the image.

    Args:
        boxes, window: in pixels of the image.
        size: (height, width) of the image.
    """
    left, top, right, bottom = window
    inner = np.array(window) != (0, 0, size[1], size[0])
    margin = np.maximum(np.array([right - left, bottom - top] * 2) * BORDER, 1)
    inside = np.concatenate([boxes[:, :2] - window[:2], np.array(window[2:]) - boxes[:, 2:]], axis=1)
    return (inside <= margin) & inner


def drop_cut(boxes: np.ndarray, scores: np.ndarray, windows: np.ndarray, touched: np.ndarray) -> np.ndarray:
    """(M,) bool: the detections of one class that stay when those are dropped of which another one shows more of the object.

    Dropped is one that touches an inner border of its window and lies by half of its area in one of another window that reaches
    past that border by a tenth of its side, unless that has less than 0.3 of its score. The other one is not cut, or it is
    larger, and it is not dropped itself. If the others end at the border too, then the border does not cut the object.

    Args:
        boxes: (M, 4); scores: (M,).
        windows: (M, 4), which window a detection is from.
        touched: (M, 4) bool, `touched_borders` of that.
    """
    area, cut = geometry.area(boxes), touched.any(axis=1)
    order = np.lexsort((-scores, -area * cut, cut))  # those that are not cut, then the largest
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * BEYOND
    needed = windows + np.array([-1, -1, 1, 1]) * sides

    def covers(better: np.ndarray, worse: np.ndarray, intersection: np.ndarray) -> np.ndarray:
        past = np.concatenate([boxes[better, :2] < needed[worse, :2], boxes[better, 2:] > needed[worse, 2:]], axis=1)
        more = (past & touched[worse]).any(axis=1) & (windows[better] != windows[worse]).any(axis=1)
        return more & (scores[better] >= WORTH * scores[worse]) & (intersection >= COVERED * area[worse])

    return _survivors(boxes, order, covers)


def nms(boxes: np.ndarray, scores: np.ndarray, thresh: float) -> np.ndarray:
    """(M,) bool: the detections of one class that NMS keeps: boxes (M, 4), scores (M,); of equal scores the first goes first."""
    area = geometry.area(boxes)

    def same(better: np.ndarray, worse: np.ndarray, intersection: np.ndarray) -> np.ndarray:
        return intersection > thresh * (area[better] + area[worse] - intersection)

    return _survivors(boxes, np.argsort(-scores, kind="stable"), same)


def vote(boxes: np.ndarray, weights: np.ndarray, thresh: float) -> np.ndarray:
    """(M, 4) float32: each of the boxes of one class as the weighted mean of those that overlap it by an IoU of `thresh`, itself
    included: boxes (M, 4), weights (M,)."""
    area, weights = geometry.area(boxes), weights[:, None].astype(np.float64)
    sums, total = weights * boxes, weights.copy()
    for first, second, intersection in _overlapping(boxes):
        near = intersection >= thresh * (area[first] + area[second] - intersection)
        for one, other in ((first[near], second[near]), (second[near], first[near])):
            np.add.at(sums, one, weights[other] * boxes[other])
            np.add.at(total, one, weights[other])
    return (sums / total).astype(np.float32)


def _survivors(boxes: np.ndarray, order: np.ndarray, drops: Callable) -> np.ndarray:
    """(M,) bool: what is left when, in `order`, each box that is left drops later ones.

    Args:
        drops: of indices of boxes, earlier and later ones, and the areas of their intersections, (P,) each: whether (P,) bool.
    """
    rank, keep = np.empty(len(boxes), int), np.ones(len(boxes), bool)
    rank[order] = np.arange(len(boxes))
    found = []
    for first, second, intersection in _overlapping(boxes):
        earlier, later = np.where(rank[first] < rank[second], (first, second), (second, first))
        dropped = drops(earlier, later, intersection)
        found.append(np.stack([earlier[dropped], later[dropped]], axis=1))
    pairs = np.concatenate(found) if found else np.zeros((0, 2), int)
    for earlier, later in pairs[np.argsort(rank[pairs[:, 0]], kind="stable")].tolist():
        if keep[earlier]:
            keep[later] = False
    return keep


def _overlapping(boxes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields all pairs of boxes that overlap: (P,) and (P,) their indices, (P,) their intersection. Sorted by xmin, a box meets
    only those that begin before it ends: of a large image not all."""
    order = np.argsort(boxes[:, 0], kind="stable")
    left, top, right, bottom = boxes[order].T
    ends = np.searchsorted(left, right)
    for start in range(0, len(boxes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        columns = slice(start, max(ends[rows], default=start))
        width = np.minimum(right[rows, None], right[columns]) - np.maximum(left[rows, None], left[columns])
        height = np.minimum(bottom[rows, None], bottom[columns]) - np.maximum(top[rows, None], top[columns])
        i, j = np.nonzero((width > 0) & (height > 0))
        i, j = i[j > i], j[j > i]  # each pair once
        yield order[start + i], order[start + j], width[i, j] * height[i, j]
