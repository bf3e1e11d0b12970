"""Plots of an evaluation, drawn by matplotlib without a window and without its global state."""

import warnings
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ssdzoo.files import replacing
from ssdzoo.measure.evaluate import Evaluation
from ssdzoo.report.pictures import PALETTE, column_count

INK, FAINT, GRID = "#222222", "#d0d0d0", "#ececec"
CONFUSED = 60  # classes in the picture of the confusion matrix at most; it grows with their square
PANELS = 80  # classes in the picture of the curves at most
POINTS = 300  # of a drawn curve: more than its panel is wide in pixels
DPI = 100


def plot_curves(path: str | Path, evaluation: Evaluation) -> None:
    """Writes precision over recall as a .png: one panel per class, the other classes faint behind it, and a dot where F1 is
    best, with its score. Of more than PANELS classes those with the most objects are shown.

    Args:
        evaluation: an Evaluation.
    """
    names = commonest(evaluation, PANELS)
    curves = [thinned(*evaluation.curves.curve(name)[:2]) for name in names]
    columns = column_count(len(names), ceil(sqrt(len(names))) + 2)
    rows = max(1, -(-len(names) // columns))
    side = 5.2 if len(names) == 1 else 2.9 if len(names) <= 9 else 2.2
    # Inches around the panels and between them; matplotlib's own layout takes ten seconds for 80 panels.
    left, right, bottom, top, between = 0.75, 0.15, 0.65, 0.75, 0.32
    width, height = left + right + columns * (side + between), bottom + top + rows * (side * 0.9 + between)
    width = max(width, 4.8)
    figure = Figure(figsize=(width, height), dpi=DPI)
    place = dict(left=left / width, right=1 - right / width, bottom=bottom / height, top=1 - top / height)
    spaces = dict(wspace=between / side, hspace=between / side / 0.9)
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw={**place, **spaces})
    for i, (axis, name) in enumerate(zip(axes.flat, names)):
        _panel(axis, evaluation, name, curves, i, small=side < 2.5)
        # Numbers at the outer panels are enough; sharing axes would give the same, slowly.
        axis.tick_params(labelleft=i % columns == 0, labelbottom=i + columns >= len(names))
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    summary = evaluation.summary
    over = ", the mean over IoU 0.50 to 0.95" if summary["metric"] == "coco" else ""
    title = f"{summary['metric']} mAP {_number(summary['mAP'])}{over}"
    figure.text(left / width, 1 - 0.12 / height, title, fontsize=11, color=INK, va="top")
    below = f"curves at IoU {summary['iou']:g}; dot: best F1"
    if len(names) < len(evaluation.names):
        below += f"; the {len(names)} of {len(evaluation.names):,} classes with the most objects"
    figure.text(left / width, 1 - 0.33 / height, below, fontsize=9, color="#666666", va="top")
    figure.text((left + width - right) / 2 / width, 0.12 / height, "recall", fontsize=10, color=INK, ha="center")
    figure.text(0.12 / width, (bottom + height - top) / 2 / height, "precision", fontsize=10, color=INK, va="center", rotation=90)
    _save(figure, path)


def commonest(evaluation: Evaluation, limit: int) -> list[str]:
    """At most `limit` names of classes, those with the most objects, in the order of the classes."""
    counts = evaluation.summary["counts"]["by_class"]
    common = set(sorted(evaluation.names, key=lambda name: -counts[name]["objects"])[:limit])
    return [name for name in evaluation.names if name in common]


def _panel(axis: Axes, evaluation: Evaluation, name: str, curves: list, index: int, small: bool) -> None:
    size = 8 if small else 10
    axis.set(xlim=(0, 1.02), ylim=(0, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axis.tick_params(labelsize=size - 1, color=FAINT, labelcolor=INK)
    axis.grid(color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    others = [curve for i, curve in enumerate(curves) if i != index and len(curve)]
    axis.add_collection(LineCollection(others, colors=FAINT, linewidths=0.6))
    color = np.array(PALETTE[index % len(PALETTE)]) / 255
    if len(curves[index]):
        axis.plot(*curves[index].T, color=color, linewidth=1.8, solid_capstyle="round", clip_on=False)
    best = evaluation.summary["best_threshold"][name]
    if best:
        _best_point(axis, best, curves[index], color, size)
    value = evaluation.summary["AP"][name]
    title, ink = f"{_short(name, 18 if small else 26)}  {_number(value)}", "#888888" if value is None else INK
    axis.set_title(title, fontsize=size, color=ink, loc="left", pad=3)


def _best_point(axis: Axes, best: dict, curve: np.ndarray, color: np.ndarray, size: int) -> None:
    point, text = (best["recall"], best["precision"]), f"score {best['score']:.2f}"
    axis.plot(*([v] for v in point), "o", color=color, markersize=5, markeredgecolor="white", clip_on=False, zorder=3)
    extent = np.array([0.62 * len(text), 1.1]) * (size - 1)  # about, in points
    pixels = axis.transData.transform(np.vstack([[point], [(0, 0), (1, 1)], curve])) * 72 / DPI
    x, y = _free_place(pixels[0], pixels[1:3], pixels[3:], extent) - pixels[0]
    axis.annotate(
        text, point, (x, y), textcoords="offset points", ha="center", va="center", fontsize=size - 1, color=INK, zorder=4,
        bbox=dict(facecolor="white", edgecolor="none", alpha=0.75, pad=0.8),
    )  # fmt: skip


def _free_place(point: np.ndarray, corners: np.ndarray, curve: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """The center of a label near a point, within the axes, that covers least of a curve: (x, y).

    Args:
        point: (2,). All coordinates are in typographic points.
        corners: (2, 2), the lower left and the upper right corner of the axes.
        curve: (K, 2) points, joined by lines.
        extent: (2,), width and height of the label.
    """
    if len(curve):
        along = np.append(0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1)))
        every = np.arange(0, along[-1] + 2, 2)  # close enough that none falls beside a label
        curve = np.stack([np.interp(every, along, curve[:, axis]) for axis in (0, 1)], 1)
    # Below first, where the area under a curve is empty, and as near as it goes.
    sides = np.array([(-1, -1), (1, -1), (0, -1), (-1, 0), (1, 0), (1, 1), (-1, 1), (0, 1)])
    centers = np.concatenate([point + sides * (extent / 2 + distance) for distance in (4, 12, 24, 40)])
    centers = np.clip(centers, corners[0] + extent / 2 + 1, corners[1] - extent / 2 - 1)
    covered = (np.abs(np.vstack([point, curve])[None] - centers[:, None]) < extent / 2 + 1.5).all(2).sum(1)
    return centers[np.argmin(covered)]


def thinned(recall: np.ndarray, precision: np.ndarray, points: int = POINTS) -> np.ndarray:
    """(K, 2) float64: recall and precision of a curve at about `points` places, few enough to draw; (0, 2) for a class without
    objects."""
    if not len(recall) or np.isnan(recall[0]):
        return np.zeros((0, 2))
    if len(recall) > points:
        # The last point at each of evenly spaced recalls, and the first ones, where precision moves most.
        wanted = np.searchsorted(recall, np.linspace(0, recall[-1], points), side="right") - 1
        keep = np.unique(np.concatenate([np.arange(10), np.clip(wanted, 0, None), [len(recall) - 1]]))
        recall, precision = recall[keep], precision[keep]
    return np.stack([np.append(0, recall), np.append(precision[0], precision)], axis=1)


def plot_confusion(path: str | Path, evaluation: Evaluation) -> None:
    """Writes the confusion matrix as a .png: a row for each true class, a column for each predicted class. The shade of a cell is
    its share of the row, the number its count. Of more than CONFUSED classes the most confused ones are shown."""
    summary = evaluation.summary["confusion"]
    matrix, names = np.array(summary["matrix"]), summary["names"]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)  # also of what is not shown
    shown = most_confused(matrix, CONFUSED)
    left_out = len(names) - len(shown)
    matrix, share, names = matrix[np.ix_(shown, shown)], share[np.ix_(shown, shown)], [names[i] for i in shown]
    count = len(names)
    cell, size = (0.62, 10) if count <= 12 else (0.42, 8) if count <= 30 else (0.27, 6.5)
    figure = Figure(dpi=DPI)
    width, height = figure.get_size_inches()
    axis = figure.add_axes((0, 0, count * cell / width, count * cell / height))  # labels around it make the picture larger
    axis.imshow(share, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=1.15)
    for row, column in zip(*np.nonzero(matrix)):
        text = str(matrix[row, column])
        color = "white" if share[row, column] > 0.55 else INK
        axis.text(column, row, text, ha="center", va="center", fontsize=size - max(0, len(text) - 3), color=color)
    axis.add_patch(Rectangle((count - 1.5, count - 1.5), 1, 1, facecolor="white", edgecolor=FAINT, hatch="////", linewidth=0))
    labels = [_short(name, 22) for name in names]
    axis.set_xticks(range(count), labels, rotation=90, fontsize=size, color=INK)
    axis.set_yticks(range(count), labels, fontsize=size, color=INK)
    axis.xaxis.tick_top()
    edges = np.arange(count + 1) - 0.5
    axis.set_xticks(edges, minor=True)
    axis.set_yticks(edges, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.2)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set_visible(False)
    axis.set_ylabel("true class", fontsize=10, color=INK)
    below = f"predicted class\nscore ≥ {summary['score']:g}, IoU ≥ {summary['iou']:g}; shade: share of the row"
    axis.set_xlabel(below, fontsize=10, color=INK)
    axis.xaxis.set_label_position("bottom")
    if left_out:
        title = f"the {count - 1} most confused of {count - 1 + left_out:,} classes (eval.json has all)"
        axis.set_title(title, fontsize=12, color=INK, pad=10)
    _save(figure, path, bbox_inches="tight", pad_inches=0.2)


def most_confused(matrix: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most `limit` classes, and of the background, in rising order: the classes with the most counts off the
    diagonal in their row and column; those with other classes before those with the background.

    Args:
        matrix: (C + 1, C + 1) int, the background last.
    """
    classes = len(matrix) - 1
    if classes <= limit:
        return np.arange(classes + 1)
    wrong = matrix - np.diag(np.diag(matrix))
    with_all = (wrong.sum(axis=0) + wrong.sum(axis=1))[:classes]
    with_classes = with_all - wrong[:classes, classes] - wrong[classes, :classes]
    order = np.lexsort((-with_all, -with_classes))
    return np.append(np.sort(order[:limit]), classes)


def _short(name: str, limit: int) -> str:
    name = name if len(name) <= limit else name[: limit - 1] + "…"
    return name.replace("$", r"\$")  # two of them would begin and end a formula


def _number(value: float | None) -> str:
    return "no objects" if value is None else f"{value:.3f}"


def _save(figure: Figure, path: str | Path, **options: Any) -> None:
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a box stands for a letter that the font lacks
        figure.savefig(temporary, dpi=DPI, facecolor="white", **options)
