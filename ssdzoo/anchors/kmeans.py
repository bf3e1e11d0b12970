"""k-means on widths and heights with the distance 1 - IoU of boxes that share their center (Redmon and Farhadi 2016, "YOLO9000",
section 2, "Dimension Clusters"), with the first centers of k-means++ (Arthur and Vassilvitskii 2007)."""

import numpy as np

MAX_ROUNDS = 100


def shape_iou(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M, K) IoU of boxes of widths and heights (M, 2) and (K, 2) that share their center."""
    common = np.minimum(shapes[:, :1], others[:, 0]) * np.minimum(shapes[:, 1:], others[:, 1])
    return common / (shapes.prod(axis=1)[:, None] + others.prod(axis=1) - common)


def kmeans(shapes: np.ndarray, count: int, rng: np.random.Generator, weights: np.ndarray | None = None) -> np.ndarray:
    """(K, 2) float64: the centers of the clusters, widths and heights in rising order of their area.

    Args:
        shapes: (M, 2) widths and heights, at least one.
        count: of the centers; K is less where there are fewer different shapes.
        rng: numpy Generator; draws the first centers.
        weights: (M,) of the shapes; None for 1.

    A center is the geometric mean of its shapes, because IoU depends on ratios of sides alone.
    """
    shapes = np.asarray(shapes, np.float64)
    weights = np.ones(len(shapes)) if weights is None else np.asarray(weights, np.float64)
    centers = _first(shapes, min(count, len(np.unique(shapes, axis=0))), rng, weights)
    nearest = None
    for _ in range(MAX_ROUNDS):
        before, nearest = nearest, shape_iou(shapes, centers).argmax(axis=1)
        if before is not None and (before == nearest).all():
            break
        total = np.bincount(nearest, weights, len(centers))
        for axis in range(2):
            logs = np.bincount(nearest, weights * np.log(shapes[:, axis]), len(centers))
            centers[:, axis] = np.where(total > 0, np.exp(logs / np.where(total > 0, total, 1)), centers[:, axis])
    return centers[np.argsort(centers.prod(axis=1), kind="stable")]


def _first(shapes: np.ndarray, count: int, rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """(K, 2) shapes as first centers: the probability of each is proportional to the square of its distance to those before."""
    chosen = [rng.choice(len(shapes), p=weights / weights.sum())]
    distance = 1 - shape_iou(shapes, shapes[chosen])[:, 0]
    while len(chosen) < count:
        chances = weights * distance.clip(0) ** 2
        chosen.append(rng.choice(len(shapes), p=chances / chances.sum()))
        distance = np.minimum(distance, 1 - shape_iou(shapes, shapes[chosen[-1:]])[:, 0])
    return shapes[chosen]
