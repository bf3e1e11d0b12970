"""Names with brackets and colons in everything that is printed, and tables of many classes."""

import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import ssdzoo as package
from ssdzoo.measure.certificate import Side
from ssdzoo.predict.detector import Detector
from ssdzoo.report.pictures import save_image
from ssdzoo.report.tables import PlainTable, add_rows, make_console, print_examples, print_line
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo

NAMES = ["stop [/left]", "[open]", ":car: [bold]"]
PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(NAMES)


class OneBox:
    """A backend that finds one object of the first class in each image."""

    in_flight, file, runtime = 1, None, "a [red] runtime"

    def __call__(self, batch):
        boxes = np.tile(np.float32([[60, 90, 180, 210]]), (len(batch), 1, 1))
        return np.zeros((len(batch), 1, 1)), np.full((len(batch), 1, 1), 0.9), boxes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of two images, in a folder with brackets in its name, of classes with brackets in theirs."""
    folder = tmp_path_factory.mktemp("x") / "[" / "data]"  # the end of a tag, [/data]
    lines = ["image,xmin,ymin,xmax,ymax,class"]
    for i in range(2):
        save_image(folder / f"a [b] {i}.png", np.full((100, 100, 3), 60 + i, np.uint8))
        lines += [f'a [b] {i}.png,{20 + k},30,60,70,"{name}"' for k, name in enumerate(NAMES)]
    (folder / "test [x].csv").write_text("\n".join([*lines, 'a [b] 0.png,20,30,20,70,"[open]"', ""]))
    return folder / "test [x].csv"


def assert_names(text):
    for name in NAMES:
        assert name in text


def test_eval(data, monkeypatch):
    monkeypatch.setattr("ssdzoo.measure.certificate.open_side", lambda *_: Side("any.onnx", Detector(OneBox(), PRESET), []))
    out, errors = ssdzoo("eval", "any.onnx", data)
    assert_names(out)
    assert "test [x].csv: line 8 ([open]): box (20, 30, 20, 70) has no width" in errors


def test_check_data(data):
    out, _ = ssdzoo("check-data", data, "--workers", "0")
    assert_names(out)
    assert f"{data}: csv, 3 classes" in out and "test [x].csv: line 8 ([open]): box" in out


def test_anchors(data, tmp_path):
    (tmp_path / "[").mkdir()
    (tmp_path / "[/my].toml").write_text(find_preset("ssd_300_mobilenet0.25_custom").to_toml().replace("ssd_300", "[/my]"))
    out, _ = ssdzoo("anchors", data, "--model", tmp_path / "[/my].toml", "--split", "test", "--out", tmp_path / "[/out].toml")
    assert_names(out)
    assert f"{data}, split test: " in out and "anchors of [/my]_mobilenet0.25_custom" in out
    out, _ = ssdzoo("models", tmp_path / "[/my].toml")
    assert "[/my]_mobilenet0.25_custom" in out


def test_compare(data, tmp_path, monkeypatch):
    from ssdzoo.measure.certificate import Side

    side = Side("any [/model]", Detector(OneBox(), PRESET), [])
    monkeypatch.setattr("ssdzoo.measure.certificate.open_side", lambda *_, **__: side)
    monkeypatch.setattr("ssdzoo.measure.compare.compare_heads", lambda *_: {"not_compared": "[why]"})
    out, _ = ssdzoo("compare", "a.onnx", "b.onnx", "--images", data.parent, "--out", tmp_path / "[/out]")
    assert out.count("any [/model], a [red] runtime") == 2 and f"({tmp_path / '[/out]'}/certificate.html)" in out


@pytest.mark.parametrize("arguments", [
    ("predict", "no [/such] model", "x.jpg", "--out", "out"), ("models", "[/x]"), ("eval", "any", "data", "--metric", "[/voc]"),
    ("predict", "any", "x.jpg", "--out", "out", "--mean", "[/red]"),
])  # fmt: skip
def test_errors(arguments):
    given = next(argument for argument in arguments if "[/" in argument)
    _, errors = ssdzoo(*arguments, status=2)
    assert given in errors


def test_any_console_prints_a_table_as_it_is(capsys):
    """Also one of rich's own, which reads markup."""
    for console in (Console(width=80), make_console(width=80)):
        table = PlainTable(*NAMES)
        table.add_row(*NAMES)
        console.print(table)
        print_line(console, NAMES[0])
        print_examples(console, NAMES[1], "bold", [NAMES[2]], 1)
        out = capsys.readouterr().out
        assert [out.count(name) for name in NAMES] == [3, 3, 3]


def test_of_many_rows_a_terminal_shows_the_worst_and_the_best(capsys):
    rows = [[f"class {i}", str(i)] for i in range(101)]
    for terminal, shown in ((True, 61), (False, 101)):
        table, console = PlainTable("name", "AP"), Console(width=80, force_terminal=terminal, color_system=None)
        add_rows(table, rows, console, [None, *range(100, 0, -1)])
        assert table.row_count == shown
        console.print(table)
        lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
        if terminal:  # the last class is the worst, and the first has no value
            assert lines[0][1] == "100" and lines[-1][1] == "1"
            assert lines[30][:3] == ["...", "41", "more"]
        else:
            assert [line[1] for line in lines] == [str(i) for i in range(101)]


def test_consoles_and_tables_are_made_in_one_place():
    """Where markup is switched off: any other could forget it."""
    root, made = Path(package.__file__).parent, set()
    for path in root.rglob("*.py"):
        if re.search(r"\b(Console|Table)\(|TextColumn\([^()]*\"\)", text := path.read_text("utf-8")) and "rich" in text:
            made.add(path.relative_to(root).as_posix())
    assert made == {"report/tables.py"}
