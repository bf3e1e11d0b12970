"""Charts as SVG inside a page: its style colors them, so that they are right in the light, in the dark and on paper."""

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

_WIDTH, _HEIGHT = 440, 250  # of a chart, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 30, 30
_STYLES = ("curve", "curve second", "curve third")
_SIDE = 150  # of the square of a precision-recall curve


class Series(NamedTuple):
    """A line of a chart: its name, and (x, y) points in rising order of x; y None, or not finite, is left out."""

    name: str
    points: Sequence[tuple[float, float | None]]


def line_chart(title: str, series: Sequence[Series], mark: tuple[float, float] | None = None, top: float | None = None) -> str:
    """Up to three lines over whole numbers, such as epochs; the vertical axis begins at 0.

    Args:
        title: what a screen reader says of it.
        series: the lines.
        mark: (x, y) of a dot.
        top: the end of the vertical axis; by default above the highest value.
    """
    lines = [[(x, y) for x, y in one.points if y is not None and isfinite(y)] for one in series]
    points = [point for line in lines for point in line]
    every = [x for one in series for x, _ in one.points]  # also those without a value: charts side by side begin and end alike
    low, high = min(every, default=0), max(every, default=1)
    steps = ticks(0, max((y for _, y in points), default=1) if top is None else top)
    limit = max(steps[-1], 1e-12)

    def place(x: float, y: float) -> tuple[float, float]:
        across = 0.5 if high == low else (x - low) / (high - low)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y / limit * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value in steps:
        height = place(low, value)[1]
        parts.append(f'<path class="axis" d="M{_LEFT} {height:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{value:g}</text>')
    for whole in whole_ticks(low, high):
        parts.append(f'<text x="{place(whole, 0)[0]:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{whole}</text>')
    for line, style in zip(lines, _STYLES):
        parts.append(_line([place(*point) for point in line], style))
    if mark:
        x, y = place(*mark)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    return _svg(_WIDTH, _HEIGHT, title, "".join(parts) + (_legend(series) if len(series) > 1 else ""))


def _legend(series: Sequence[Series]) -> str:
    parts, x = [], _LEFT
    for one, style in zip(series, _STYLES):
        parts.append(f'<path class="{style}" d="M{x} 10h26"/><text x="{x + 32}" y="14">{escape(one.name)}</text>')
        x += 32 + 8 * len(one.name) + 24
    return "".join(parts)


def _line(points: Sequence[tuple[float, float]], style: str) -> str:
    if len(points) == 1:
        return f'<circle class="dot" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3.5"/>'
    return f'<path class="{style}" d="{_path(points)}"/>' if points else ""


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _svg(width: int, height: int, title: str, content: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{content}</svg>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from `low` to the first one that is not below `high`, about `count` of them."""
    if high <= low:
        high = low + 1
    rough = (high - low) / count
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [round(low + i * step, 12) for i in range(ceil((high - low) / step - 1e-9) + 1)]


def whole_ticks(low: float, high: float, count: int = 8) -> list[int]:
    """Whole numbers from `low` to `high`, about `count` of them, the first one included."""
    step = max(1, round(ticks(0, max(1, high - low), count)[1]))
    inner = [x for x in range(step * ceil(low / step), floor(high) + 1, step) if x - low >= step / 2]
    return [round(low), *inner]


def shared_curves(curves: Iterable[Sequence]) -> str:
    """All precision-recall curves, faint, once for the whole page: each panel shows them behind its own.

    Args:
        curves: of (recall, precision) points.
    """
    paths = "".join(f'<path class="faint" d="{_path(map(_in_square, curve))}"/>' for curve in curves if len(curve))
    return f'<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><g id="every">{paths}</g></defs></svg>'


def curve_panel(title: str, curve: Sequence, best: dict | None) -> str:
    """The precision-recall curve of a class, in front of those that `shared_curves` put on the page.

    Args:
        title: what a screen reader says of it.
        curve: (recall, precision) points, none for a class without objects.
        best: the "recall" and "precision" of the dot, or None.
    """
    parts = []
    for value in (0, 0.5, 1):
        x, y = _in_square((value, value))
        parts.append(f'<path class="axis" d="M{x:.1f} 6V{_SIDE + 6}M34 {y:.1f}H{_SIDE + 34}"/>')
        parts.append(f'<text x="28" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_SIDE + 22}" text-anchor="middle">{value:g}</text>')
    parts.append('<use href="#every"/>')
    parts.append(_line([_in_square(point) for point in curve], "curve"))
    if best:
        x, y = _in_square((best["recall"], best["precision"]))
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    return _svg(_SIDE + 42, _SIDE + 28, title, "".join(parts))


def _in_square(point: Sequence[float]) -> tuple[float, float]:
    return 34 + float(point[0]) * _SIDE, 6 + (1 - float(point[1])) * _SIDE
