"""The same detections from mxnet, onnxruntime, openvino and torch, whatever names the model."""

import contextlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.errors import CallError, DataError, ExportError
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.export.symbol import export_model
from ssdzoo.formats.onnx_metadata import read_onnx_preset
from ssdzoo.predict.detector import iter_images
from ssdzoo.predict.views import Views
from ssdzoo.preset import check_preset
from ssdzoo.report.predictions import write_predictions
from ssdzoo.zoo import find_preset
from tests.export.onnx.models import assert_same_detections, trained_looking
from tests.predict.exported import IMAGES, PRESET, export_small


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A run, a pair, and .onnx files with float32 and uint8 inputs; and what mxnet finds."""
    folder = tmp_path_factory.mktemp("backends")
    net = export_small(folder)
    (folder / "run").mkdir()
    (folder / "run" / "model.toml").write_text(PRESET.to_toml())
    net.save_parameters(str(folder / "run" / "best.params"))
    export_onnx(folder / "run", folder / "pixels.onnx", with_preprocess=True)
    return folder, ssdzoo.load(folder / "run")(IMAGES, score=0.1)


def assert_same(expected, found):
    assert len(expected) == len(found)
    for a, b in zip(expected, found):
        assert len(a) > 20 and a.labels == b.labels and a.names == b.names
        np.testing.assert_allclose(b.scores, a.scores, atol=1e-4)
        np.testing.assert_allclose(b.boxes, a.boxes, atol=0.05)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "auto", "torch"])
@pytest.mark.parametrize("model", ["run", "pair", "float.onnx", "pixels.onnx"])
def test_same_detections(model, backend, models):
    if backend in ("openvino", "torch"):
        pytest.importorskip(backend, reason=f"needs the extra {backend}")
    if backend == "torch" and model.endswith(".onnx"):
        with pytest.raises(CallError, match=r"\.onnx: torch runs no ONNX file; its backends are onnxruntime and openvino"):
            ssdzoo.load(models[0] / model, backend)
        return
    folder, expected = models
    assert_same(expected, ssdzoo.load(folder / model, backend=backend, precision="f32")(IMAGES, score=0.1))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "torch"])
def test_other_scales(backend, models):
    """A fixed ONNX file has one input size. OpenVINO would run it on another one all the same, and find nothing."""
    if backend != "onnxruntime":
        pytest.importorskip(backend, reason=f"needs the extra {backend}")
    folder, views = models[0], Views(scales=(0.8,))
    if backend == "torch":
        found = (ssdzoo.load(folder / "run", name, views=views)(IMAGES, score=0.1) for name in ("mxnet", backend))
        assert_same(*found)
        return
    with pytest.raises(CallError, match=rf"scales=0\.8: {backend} .* can't run this model on 240x240 pixels"):
        ssdzoo.load(folder / "pixels.onnx", backend, views=views)
    assert len(ssdzoo.load(folder / "pixels.onnx", backend, views=Views(tiles=(2, 1)))(IMAGES[0], score=0.1)[0]) > 20


SHARED = {
    "name": "shared", "backbone": "resnet18_v1_fpn", "base_size": [96, 128], "features": ["stage2", "stage3"], "filters": [64],
    "sizes": [16, 32, 60, 90], "ratios": [[1, 2, 0.5]] * 3, "shared_predictors": True,
}  # fmt: skip


LITE = {
    "name": "lite", "backbone": "mobilenetv2_0.25", "base_size": [96, 128], "separable": True, "min_depth": 16,
    "features": ["features_linearbottleneck13_relu60_relu6", "features_relu61_relu6"], "filters": [32], "reduce_ratio": 0.5,
    "sizes": [16, 32, 60, 90], "ratios": [[1, 2, 0.5]] * 3,
}  # fmt: skip


@pytest.mark.parametrize(
    "preset",
    [
        check_preset(LITE, "here"), check_preset(SHARED, "here"),
        pytest.param(find_preset("ssd_320_mobilenetv2_1.0_lite_custom"), marks=pytest.mark.long),
    ],
    ids=lambda preset: preset.name,
)  # fmt: skip
def test_ssdlite_and_shared_heads(preset, tmp_path):
    for package in ("openvino", "torch"):
        pytest.importorskip(package, reason=f"needs the extra {package}")
    preset = preset.with_classes(["a", "b", "c"])
    net = trained_looking(preset, np.random.default_rng(0).normal(size=(2, 3, *preset.base_size)).astype(np.float32))
    export_model(net, preset, tmp_path)
    found = {
        backend: ssdzoo.load(tmp_path, backend=backend, precision="f32")(IMAGES[:2], score=0.1)
        for backend in ("mxnet", "onnxruntime", "openvino", "torch")
    }
    found = {
        backend: {name: np.stack([getattr(d, name) for d in images]) for name in ("class_ids", "scores", "boxes")}
        for backend, images in found.items()
    }
    expected = found.pop("mxnet").values()
    for images in found.values():
        assert assert_same_detections(tuple(expected), images, tie=2e-5) == 200


def test_throughput_mode(models):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    folder, expected = models
    detector = ssdzoo.load(folder / "float.onnx", backend="openvino", precision="f32", mode="throughput")
    for _ in range(3):
        assert_same(expected, detector(IMAGES, score=0.1))


FIRST_LOOK = """
import sys
import threading
import numpy as np
from ssdzoo.predict.backends.openvino import OpenVINOBackend
backend = OpenVINOBackend(sys.argv[1], "f32", "throughput")
sys.setswitchinterval(1e-6)
together, images = threading.Barrier(backend.in_flight), np.zeros((1, 3, 300, 300), np.float32)
def infer():
    together.wait()
    print(f"{len(backend(images))}\\n", end="")  # one write, that of the other thread may come between two
threads = [threading.Thread(target=infer) for _ in range(backend.in_flight)]
for thread in threads: thread.start()
"""


@pytest.mark.long  # several times, because it depends on the turns of the threads
def test_threads_that_all_infer_first(models):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    for _ in range(10):
        command = [sys.executable, "-c", FIRST_LOOK, str(models[0] / "float.onnx")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert set(done.stdout.split()) == {"3"}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_no_thread_of_openvino_is_bound_to_a_core(models):
    """Those of several processes would be bound to the same ones."""
    pytest.importorskip("openvino", reason="needs the extra openvino")
    detector = ssdzoo.load(models[0] / "float.onnx", backend="openvino", precision="f32")
    detector(IMAGES)
    seen, usual = set(), affinities()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(lambda: [detector(IMAGES) for _ in range(5)])
        while not work.done():
            seen |= affinities()
        work.result()
    assert seen <= usual


def affinities():
    """The cores that the threads of this process may run on, one set for those that have the same."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            found.add(frozenset(os.sched_getaffinity(int(thread))))
    return found


def test_the_file_made_on_the_fly_is_kept_until_the_weights_change(models):
    folder, _ = models
    ssdzoo.load(folder / "run", backend="onnxruntime")
    files = list((folder / "run" / ".onnx").iterdir())
    before = files[0].stat().st_mtime_ns
    ssdzoo.load(folder / "run", backend="onnxruntime")
    assert len(files) == 1 and files[0].stat().st_mtime_ns == before
    (folder / "run" / "model.toml").write_text(PRESET.with_classes(["x", "y", "z"]).to_toml())
    try:
        assert ssdzoo.load(folder / "run", backend="onnxruntime").names == ["x", "y", "z"]
        assert len(list((folder / "run" / ".onnx").iterdir())) == 2
    finally:
        (folder / "run" / "model.toml").write_text(PRESET.to_toml())


def test_what_an_onnx_file_says(models, tmp_path):
    folder, _ = models
    preset = read_onnx_preset(folder / "pixels.onnx")
    assert [
        ssdzoo.load(folder / f"{name}.onnx", b).backend.takes_pixels
        for b in ("onnxruntime", "openvino")
        for name in ("pixels", "float")
    ] == [True, False] * 2
    assert preset.classes == ("a", "b", "c") and preset.base_size == (300, 300)
    assert (preset.name, preset.nms_topk, preset.post_nms) == (PRESET.name, 400, 100)
    export_onnx(folder / "pair", tmp_path / "raw.onnx", raw=True)
    with pytest.raises(ExportError, match=r"raw\.onnx: gives head outputs"):
        ssdzoo.load(tmp_path / "raw.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ExportError, match="not an ONNX file|not a model of"):
        ssdzoo.load(tmp_path / "text.onnx")
    with pytest.raises(ExportError, match=r"none\.onnx: no such ONNX file"):
        ssdzoo.load(tmp_path / "none.onnx")
    with pytest.raises(CallError, match="no precision 'int4'"):
        ssdzoo.load(folder / "float.onnx", backend="openvino", precision="int4")
    with pytest.raises(CallError, match="contains its weights"):
        export_onnx(folder / "pair", tmp_path / "x.onnx", weights="a.params")


@pytest.mark.parametrize("package, extra", [("onnxruntime", "onnx"), ("openvino", "openvino"), ("torch", "torch")])
def test_a_missing_package_is_told_in_a_line(package, extra, models):
    path = models[0] / ("pair" if package == "torch" else "float.onnx")
    code = f"""
import sys
sys.modules["mxnet"] = sys.modules[{package!r}] = None
from ssdzoo.cli import main
main(["predict", {str(path)!r}, "x.jpg", "--out", {str(models[0] / "out")!r}, "--backend", {package!r}])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"pip install 'ssdzoo[{extra}]'" in done.stderr


def test_an_onnx_file_needs_no_mxnet(models, tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), IMAGES[0])
    code = f"""
import sys
sys.modules["mxnet"] = sys.modules["gluoncv"] = None
from ssdzoo.cli import main
paths = {[str(models[0] / "float.onnx"), str(tmp_path / "x.png"), "--out", str(tmp_path / "out")]!r}
main(["predict", *paths, "--score", "0.1"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())[0]["detections"]) > 20


def write_video(path, frames=7):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), (0, 0, 30 * i), np.uint8))
    writer.release()
    return path


def test_patterns_generators_and_videos(models, tmp_path):
    folder, _ = models
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 30, 3)))
    video = write_video(tmp_path / "clip.avi")
    assert [p.name for p in iter_images(str(tmp_path / "*.png"))] == ["a.png", "b.png"]
    frames = list(iter_images(video))
    assert [int(f[..., 0].mean() + 0.5) for f in frames] == pytest.approx([30 * i for i in range(7)], abs=2)  # red
    detector = ssdzoo.load(folder / "float.onnx", backend="onnxruntime")
    assert len(detector(i for i in (video, tmp_path / "a.png", IMAGES[0]))) == 9
    with pytest.raises(CallError, match="no file matches this pattern"):
        detector(str(tmp_path / "*.jpg"))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"broken\.mp4: no such video, or not one"):
        detector(tmp_path / "broken.mp4")
    found = write_predictions(detector, [video, tmp_path / "a.png"], tmp_path / "out", 0.5)
    assert [(f.get("frame"), f["picture"]) for f in found[5:]] == [
        (5, "clip_000005.jpg"), (6, "clip_000006.jpg"), (None, "a.jpg"),
    ]  # fmt: skip
