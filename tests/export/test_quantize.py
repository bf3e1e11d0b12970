"""An int8 model: which parts are int8, that it finds the same objects, and what is refused."""

import json

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.cli import main
from ssdzoo.errors import CallError, ExportError
from ssdzoo.export.job import export_onnx
from ssdzoo.export.quantize import _before, quantize_onnx
from ssdzoo.predict.certify import certify, open_side
from ssdzoo.predict.compare import Tolerance
from ssdzoo.predict.onnx_model import read_metadata
from ssdzoo.registry import find_preset
from tests.export.onnx_models import trained_looking

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(size=(1, 3, 300, 300)).astype(np.float32) for _ in range(4)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A float model, images, and its int8 copy."""
    folder = tmp_path_factory.mktemp("quantize")
    preset = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])
    net = trained_looking(preset.name, np.concatenate(BATCHES))
    (folder / "run").mkdir()
    (folder / "run" / "model.toml").write_text(preset.to_toml())
    net.save_parameters(str(folder / "run" / "best.params"))
    export_onnx(folder / "run", folder / "float.onnx")
    (folder / "images").mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / "images" / f"{i}.png"), RNG.integers(0, 256, (120, 200, 3), np.uint8))
    done = quantize_onnx(folder / "float.onnx", folder / "int8.onnx", BATCHES)
    assert done["quantized"] == done["convolutions"] == 45
    return folder


def convolutions_in_int8(path):
    graph = onnx.load(str(path)).graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    return [node.name for node in graph.node if node.op_type == "Conv" and made.get(node.input[0]) == "DequantizeLinear"]


def test_the_network_is_int8_and_the_detection_float(model):
    path = model / "int8.onnx"
    quantized, heads = onnx.load(str(path)), read_metadata(path)["heads"]
    onnx.checker.check_model(quantized, full_check=True)
    assert len(convolutions_in_int8(path)) == 45
    network = {node.name for node in _before(quantized, heads)}
    rest = [node.op_type for node in quantized.graph.node if node.name not in network]
    assert "Softmax" in rest and "NonMaxSuppression" in rest and "QuantizeLinear" not in rest and "DequantizeLinear" not in rest
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in quantized.graph.initializer}
    kernels = [w for w in weights.values() if w.dtype == np.int8 and w.ndim == 4]
    scales = {len(weights[n.input[1]].reshape(-1)) for n in quantized.graph.node if n.op_type == "DequantizeLinear"}
    assert len(kernels) == 45 and {k.shape[0] for k in kernels} <= scales  # a scale for each channel


def test_the_metadata_stay(model):
    before, after = read_metadata(model / "float.onnx"), read_metadata(model / "int8.onnx")
    assert before == after and after["classes"] == ["a", "b", "c"]
    props = {p.key: p.value for p in onnx.load(str(model / "int8.onnx")).metadata_props}
    assert props["quantized"] == "int8"
    assert (model / "int8.onnx").stat().st_size < 0.6 * (model / "float.onnx").stat().st_size


def test_some_convolutions_can_stay_in_float(model, tmp_path):
    done = quantize_onnx(model / "float.onnx", tmp_path / "x.onnx", BATCHES[:1], float_first=True, float_heads=True)
    kept = convolutions_in_int8(tmp_path / "x.onnx")
    assert done == {"quantized": 32, "convolutions": 45} and len(kept) == 32  # 6 maps with two heads each, and the first
    assert not any("conv0_fwd" in name and "mobilenet" in name for name in kept) and not any("predictor" in n for n in kept)


def test_it_finds_nearly_the_same(model):
    sides = [open_side(model / name, "onnxruntime") for name in ("float.onnx", "int8.onnx")]
    found = certify(*sides, model / "images", score=0.3, tolerance=Tolerance(judged=False)).summary
    counts = found["detections"]
    assert found["passed"] and counts["matched"] > 0.6 * counts["a"] > 30
    assert 0 < found["heads"]["logits"] < 4 and found["scores"]["mean"] < 0.1


def test_what_is_refused(model, tmp_path):
    with pytest.raises(CallError, match="quantized already"):
        quantize_onnx(model / "int8.onnx", tmp_path / "x.onnx", BATCHES)
    with pytest.raises(CallError, match="no images to calibrate on"):
        quantize_onnx(model / "float.onnx", tmp_path / "x.onnx", [])
    with pytest.raises(ExportError, match=r"none\.onnx: no such ONNX file"):
        quantize_onnx(tmp_path / "none.onnx", tmp_path / "x.onnx", BATCHES)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_certificate(model, tmp_path, capsys):
    main_arguments = ["quantize", str(model / "float.onnx"), "--images", str(model / "images"), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main([*main_arguments, "--count", "3", "--score", "0.3"])
    out, err = capsys.readouterr()
    assert not stopped.value.code and "NOT JUDGED" in out and "calibrated on 3 images" in err
    found = json.loads((tmp_path / "certificate.json").read_text())
    assert found["images"] == 3 and found["b"]["model"].endswith("-int8.onnx") and found["detections"]["matched"] > 20
