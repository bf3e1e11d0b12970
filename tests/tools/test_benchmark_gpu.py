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
    images = [record.image for record in script.draw_data(tmp_path).records[:3]]
    rows = script.prediction(MODEL, "cpu", [1, 2], 0.0, images, tmp_path)
    first, second = next(rows), next(rows)
    assert [row["batch"] for row in (first, second)] == [1, 2] and "error" not in second
    assert second["images_per_s"] > 0 and second["images_per_s_without_loading"] > 0 and second["version"].endswith(" CPU f32")


def test_what_fails_is_a_row(script, tmp_path):
    rows = list(script.training("ssd_300_mobilenet0.25_custom", "cuda:99", 2, 0, 0.0, script.draw_data(tmp_path), tmp_path))
    assert [row["runtime"] for row in rows] == ["torch eager f32", "torch eager bf16", "torch compiled bf16"]
    assert all(row["error"].startswith("SSDZooError: cuda:99: ") for row in rows)


def test_onnxruntime_gets_the_card_and_may_not_fall_back(script, monkeypatch):
    backends, onnxruntime = [], pytest.importorskip("onnxruntime", reason="needs the extra onnx")

    class Backend:
        runtime = "onnxruntime 1.31.1 CUDA"

        def __init__(self, path, providers):
            backends.append(providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [f"{n}ExecutionProvider" for n in ("Tensorrt", "CUDA")])
    monkeypatch.setattr("ssdzoo.predict.backends.onnxruntime.OnnxRuntimeBackend", Backend)
    monkeypatch.setattr("ssdzoo.predict.onnx_cache.cached_onnx", lambda source: "x.onnx")
    monkeypatch.setattr(script, "torch_device", script.torch.device)
    makers = dict(script.runtimes(None, "cuda:1"))
    assert list(makers)[3:] == ["onnxruntime CUDA", "onnxruntime Tensorrt"]
    makers["onnxruntime CUDA"]()
    with pytest.raises(RuntimeError, match="could not start Tensorrt and would run as onnxruntime 1.31.1 CUDA"):
        makers["onnxruntime Tensorrt"]()
    card = {"device_id": 1}
    assert backends == [
        [("CUDAExecutionProvider", card)],
        [("TensorrtExecutionProvider", card), ("CUDAExecutionProvider", card)],
    ]


def test_calls_that_warm_up_do_not_count(script):
    calls = []
    assert script.rate(2, 0.0, calls.append, 1, warm_up=4) > 0
    assert len(calls) == 4 + 3
