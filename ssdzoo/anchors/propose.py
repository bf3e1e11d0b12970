"""Proposes anchors that fit the objects of a data set, for the feature maps of a model."""

import numpy as np

from ssdzoo.anchors.kmeans import kmeans
from ssdzoo.anchors.levels import Level, best_of_all, shape_ious
from ssdzoo.anchors.objects import Objects
from ssdzoo.anchors.recall import THRESHOLDS
from ssdzoo.boxes import listed_shapes
from ssdzoo.errors import CallError
from ssdzoo.progress import counted

RESTARTS = 10
LIMIT = 32  # anchors in a grid cell, on average over the feature maps
SAMPLE = 10_000  # maximum number of objects that are looked at
FACTORS = (1.2, 1.1, 1.03)  # by which widths and heights are changed in search of a better fit
MAX_ROUNDS = 10  # with each of them
COVERED = THRESHOLDS[0]
# A place of the finest feature map of the MobileNets (_s8) sees 43 pixels of the image, 5.4 steps; deeper ones see more steps.
REACH_STEPS = 5.5
REACH = 2**0.5


def propose(objects: Objects, levels: list, count: int, seed: int = 0) -> tuple:
    """Sizes and ratios that fit the objects.

    The shapes of the objects are clustered several times, with other random first centers, and each cluster is assigned to the
    level of `level_of`. A level without a cluster keeps the model's first shape, because it needs one. The clustering that fits
    best in the real grid is taken, and its shapes are changed as long as the fit gets better. The fit is the share of the objects
    with an anchor at IoU 0.5, plus the mean IoU. All classes have the same weight, as in the mean average precision.

    Args:
        objects: at least one.
        levels: of the model, finest first.
        count: number of shapes over all levels, at least one for each; fewer are proposed where the objects have fewer different
            ones.
        seed: of the first centers.

    Returns:
        (sizes, ratios): for each level a list of pixels and a list of width / height.

    Raises:
        CallError: `count` is less than the number of levels, or more than 32 times that.
    """
    if count < len(levels):
        anchors = f"{counted(count, 'anchor')} {'is' if count == 1 else 'are'}"
        raise CallError(f"{anchors} too few: the model has {counted(len(levels), 'feature map')}, and each needs at least one")
    if count > LIMIT * len(levels):
        raise CallError(f"{count} anchors are too many: at most {LIMIT} for each of the model's {len(levels)} feature maps")
    rng = np.random.default_rng(seed)
    if len(objects.boxes) > SAMPLE:
        chosen = np.sort(rng.choice(len(objects.boxes), SAMPLE, replace=False))
        objects = Objects(*(part[chosen] for part in objects))
    boxes = objects.boxes.astype(np.float64)
    weights = 1 / np.bincount(objects.class_ids)[objects.class_ids]
    found = [_clustered(boxes, weights, levels, count, rng) for _ in range(RESTARTS)]
    best = max(found, key=lambda clusters: _fit(best_of_all(boxes, _filled(levels, clusters))[0], weights))
    return as_table(_filled(levels, _refined(boxes, weights, levels, best)))


def level_of(shape: np.ndarray, levels: list) -> int:
    """The coarsest level on which objects of a shape (width, height) have an anchor of the same shape at IoU 0.5 at every
    position, or else the finest. For a square, it is the coarsest one with a step of up to 0.367 times its size.

    Finer levels are passed over that do not reach the shape: it is longer than `REACH_STEPS` steps and than `REACH` times the
    longest own anchor. Their features see too little of the image for such objects, whatever the IoU. This is about thin objects,
    which only a fine step covers at every position.
    """
    coarsest = max((i for i, level in enumerate(levels) if farthest_iou(shape, level.steps) >= COVERED), default=0)
    reaching = (i for i, level in enumerate(levels) if shape.max() <= _reach(level))
    return max(coarsest, next(reaching, 0))


def _reach(level: Level) -> float:
    """Pixels of the longest objects that a level is for."""
    return max(REACH_STEPS * min(level.steps), REACH * float(level.shapes.max()))


def farthest_iou(shapes: np.ndarray, steps: tuple) -> np.ndarray:
    """(...) minimum IoU, over all positions, of objects with the nearest anchor of the same shape (..., 2), width and height:
    that of centers half a step (vertical, horizontal) apart on both axes."""
    common = (shapes - np.array(steps[::-1]) / 2).clip(0).prod(axis=-1)
    return common / (2 * np.prod(shapes, axis=-1) - common)


def as_table(levels: list) -> tuple:
    """(sizes, ratios) of the different shapes of each level, in rising order, rounded to tenths of a pixel and to hundredths."""
    pairs = [sorted({(_rounded((w * h) ** 0.5, 1), _rounded(w / h, 2)) for w, h in level.shapes}) for level in levels]
    return [[size for size, _ in level] for level in pairs], [[ratio for _, ratio in level] for level in pairs]


def _rounded(value: float, decimals: int) -> float:
    """Rounded to this number of decimals, or to two digits where that is finer: never 0."""
    return float(f"{value:.2g}") if value < 10 ** (1 - decimals) else round(float(value), decimals)


def with_shapes(levels: list, sizes: list, ratios: list) -> list:
    """The levels of the same grids with other anchors: for each level a list of sizes and a list of ratios."""
    return [level._replace(shapes=listed_shapes(s, r)) for level, s, r in zip(levels, sizes, ratios)]


def _clustered(boxes: np.ndarray, weights: np.ndarray, levels: list, count: int, rng: np.random.Generator) -> list:
    wanted = count
    while True:
        clusters = [(shape, level_of(shape, levels)) for shape in kmeans(boxes[:, 2:] - boxes[:, :2], wanted, rng, weights)]
        empty = len(levels) - len({level for _, level in clusters})
        if len(clusters) + empty <= count:
            return clusters
        wanted = min(wanted - 1, count - empty)


def _filled(levels: list, clusters: list) -> list:
    """The levels with the shapes of their clusters; where there is none, with the first of their own."""
    shapes = [[shape for shape, where in clusters if where == i] for i in range(len(levels))]
    return [level._replace(shapes=np.array(own) if own else level.shapes[:1]) for level, own in zip(levels, shapes)]


def _fit(best: np.ndarray, weights: np.ndarray) -> float:
    """How well anchors fit objects whose best IoUs are `best` (M,); 2 is perfect."""
    return float(np.average((best >= COVERED) + best, weights=weights))


def _refined(boxes: np.ndarray, weights: np.ndarray, levels: list, clusters: list) -> list:
    """Clusters after their widths and heights were changed, one after the other, as long as the fit got better and they stayed on
    the same level."""
    shapes, where = [shape for shape, _ in clusters], [level for _, level in clusters]
    ious = np.stack([shape_ious(boxes, shape, levels[i]) for shape, i in clusters])
    fit = _fit(ious.max(axis=0), weights)
    for factor in FACTORS:
        changes = np.array([(factor, factor), (factor, 1), (1, factor)])
        for _ in range(MAX_ROUNDS):
            before = fit
            for k, level in enumerate(where):
                others = np.delete(ious, k, axis=0).max(axis=0, initial=0)
                for shape in shapes[k] * np.concatenate([changes, 1 / changes]):
                    trial = shape_ious(boxes, shape, levels[level])
                    value = _fit(np.maximum(others, trial), weights)
                    if value > fit + 1e-9 and level_of(shape, levels) == level:
                        fit, shapes[k], ious[k] = value, shape, trial
            if fit == before:
                break
    return list(zip(shapes, where))
