"""Each kind of measurement once, on the CPU."""

import pytest

pytest.importorskip("torch", reason="needs the extra torch")

from tests.tools.scripts import load_script

MODEL = "ssd_300_mobilenet0.25_custom"


@pytest.fixture
def script(monkeypatch):
    script = load_script("benchmark_gpu")
    monkeypatch.setattr(script, "WARM_UP", 0)
    monkeypatch.setattr(script, "IMAGES", 3)
    return script


@pytest.mark.long
def test_training(script, tmp_path):
    rows = script.training(MODEL, "cpu", 2, 0, 0.0, script.draw_data(tmp_path), tmp_path)
    row = next(rows)
    assert (row["runtime"], row["batch"], row.get("error")) == ("torch eager f32", 2, None)
    assert row["images_per_s"] > 0 and row["images_per_s_without_loading"] > 0


def test_prediction(script, tmp_path):
    rows = script.prediction(MODEL, "cpu", [1, 2], 0.0, tmp_path)
    first, second = next(rows), next(rows)
    assert [row["batch"] for row in (first, second)] == [1, 2] and "error" not in second
    assert second["images_per_s"] > 0 and second["version"].endswith(" CPU f32")


def test_what_fails_is_a_row(script, tmp_path):
    rows = list(script.training("ssd_300_mobilenet0.25_custom", "cuda:99", 2, 0, 0.0, script.draw_data(tmp_path), tmp_path))
    assert [row["runtime"] for row in rows] == ["torch eager f32", "torch eager bf16", "torch compiled bf16"]
    assert all(row["error"].startswith("SSDZooError: cuda:99: ") for row in rows)
