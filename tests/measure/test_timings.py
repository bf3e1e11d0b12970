import json

import pytest

from ssdzoo.cli import main
from ssdzoo.errors import DataError
from ssdzoo.measure import timings as T
from ssdzoo.zoo import find_preset


def row(runtime, ms, batch=1):
    return {"runtime": runtime, "version": f"{runtime} 1", "batch": batch, "image_ms": {"p50": ms}}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSDZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "timings.json"


@pytest.fixture
def table(tmp_path):
    """As `benchmark` writes it for a row without classes."""
    path = tmp_path / "model.toml"
    path.write_text(find_preset("ssd_300_mobilenet0.25_custom").with_classes(f"class {i}" for i in range(20)).to_toml())
    return path


def shown(capsys, *arguments):
    with pytest.raises(SystemExit) as exit:
        main(["models", *arguments])
    assert exit.value.code == 0
    return capsys.readouterr().out


def test_the_newest_of_this_machine_is_shown(cache, table, capsys, monkeypatch):
    presets = [find_preset(f"ssd_300_mobilenet0.25_{v}") for v in ("custom", "coco")]
    assert T.timings(presets) == {} and " ms" not in shown(capsys, "*0.25_c*")
    T.remember(table, [row("mxnet", 9.0), row("openvino", 5.25), row("openvino", 4.0, 8), row("gluoncv", 1.0)])
    T.remember(table, [row("openvino", 7.04)])
    found = T.timings(presets)
    assert list(found) == ["ssd_300_mobilenet0.25_custom"]
    times = {runtime: (e["image_ms"], e["batch"]) for runtime, e in found["ssd_300_mobilenet0.25_custom"].items()}
    assert times == {"openvino": (7.04, 1), "mxnet": (9.0, 1), "gluoncv": (1.0, 1)}
    monkeypatch.setenv("COLUMNS", "140")
    lines = shown(capsys, "*0.25_c*").splitlines()
    assert lines[0].split()[-2:] == ["ms", "with"] and lines[2].split()[-2:] == ["7.0", "openvino"]
    assert lines[1].split()[-1] == "0.41" and "fastest runtime measured" in lines[-1]
    rows = json.loads(shown(capsys, "*0.25_c*", "--json"))
    assert rows[0]["measured"] == [] and {e["runtime"] for e in rows[1]["measured"]} == set(times)
    monkeypatch.setattr(T, "this_machine", lambda: "another, 64 cores")
    assert T.timings(presets) == {} and " ms" not in shown(capsys, "*0.25_c*")


def test_a_damaged_file(cache, table):
    for text in ("{", "{}x", '{"a": 1}', '[{"machine": "x"}]', "[1]"):
        cache.parent.mkdir(exist_ok=True)
        cache.write_text(text)
        with pytest.raises(DataError, match="timings.json: not what ssdzoo benchmark wrote there; delete it"):
            T.timings([])
    T.remember(table, [row("mxnet", 9.0)])
    assert len(json.loads(cache.read_text())) == 1


def test_a_folder_that_cannot_be_written(cache, table, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSDZOO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="timings.json: the result is not kept"):
        T.remember(table, [row("mxnet", 9.0)])
