import re

import pytest

from ssdzoo.report.page_charts import Series, curve_panel, line_chart, ticks, whole_ticks


@pytest.mark.parametrize("low, high, expected", [
    (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 11.2, [0, 2.5, 5, 7.5, 10, 12.5]), (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    (0, 0.005, [0, 0.001, 0.002, 0.003, 0.004, 0.005]), (0, 3e-7, [0, 1e-7, 2e-7, 3e-7]), (0, 43, [0, 10, 20, 30, 40, 50]),
])  # fmt: skip
def test_ticks(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("low, high, expected", [
    (1, 6, [1, 2, 3, 4, 5, 6]), (1, 1, [1]), (1, 40, [1, 5, 10, 15, 20, 25, 30, 35, 40]), (31, 36, [31, 32, 33, 34, 35, 36]),
    (1, 200, [1, 25, 50, 75, 100, 125, 150, 175, 200]),
])  # fmt: skip
def test_whole_ticks(low, high, expected):
    assert whole_ticks(low, high) == expected


def points(svg, style):
    (path,) = re.findall(rf'class="{style}" d="M([\d. L]+)"', svg)
    return [tuple(map(float, point.split())) for point in path.split("L")]


def test_a_chart_draws_its_points():
    """The square of a chart reaches from (48, 220) to (428, 30)."""
    lines = [Series("a<b", [(1, 0), (2, None), (3, 1.0)]), Series("c", [(1, 0.5), (2, float("nan")), (3, float("inf"))])]
    svg = line_chart('loss "x"', lines, mark=(2, 0.5), top=1)
    assert points(svg, "curve") == [(48, 220), (428, 30)]
    assert '<circle class="dot" cx="48.0" cy="125.0" r="3.5"/>' in svg  # one point is no line
    assert '<circle class="dot" cx="238.0" cy="125.0" r="5"/>' in svg
    assert "a&lt;b</text>" in svg and 'aria-label="loss &quot;x&quot;"' in svg


def test_a_chart_of_nothing():
    for lines in ([], [Series("a", [])], [Series("a", [(1, None)])], [Series("a", [(1, 0.0)])]):
        svg = line_chart("nothing", lines)
        assert "nan" not in svg and "inf" not in svg and ">1</text>" in svg


def test_a_curve_in_its_panel():
    """The square of a panel reaches from (34, 156) to (184, 6)."""
    svg = curve_panel("cat", [(0, 1), (0.5, 0.8), (1, 0)], {"recall": 0.5, "precision": 0.8})
    assert points(svg, "curve") == [(34, 6), (109, 36), (184, 156)] and 'cx="109.0" cy="36.0"' in svg
    assert 'class="curve"' not in curve_panel("dog", [], None)
