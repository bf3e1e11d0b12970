"""An int8 model: which parts are int8, that it finds the same objects, and what is refused."""

import json

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.cli import main
from ssdzoo.errors import CallError, ExportError
from ssdzoo.export.int8.equalize import equalize
from ssdzoo.export.int8.quantize import int8_start, nodes_before, quantize_onnx
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.formats.onnx_metadata import read_metadata
from ssdzoo.measure.certificate import Trial, certify, open_side
from ssdzoo.measure.compare import Tolerance
from ssdzoo.model_source import resolve
from ssdzoo.zoo import find_preset
from tests.export.onnx.models import trained_looking

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
    done = quantize_onnx(folder / "float.onnx", folder / "int8.onnx", BATCHES, float_first=0)
    assert (done["convolutions"], done["float"]) == (47, 0) and 15 < done["logits_db"] < 35
    return folder


def convolutions_in_int8(path):
    graph = onnx.load(str(path)).graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    return [node.name for node in graph.node if node.op_type == "Conv" and made.get(node.input[0]) == "DequantizeLinear"]


def test_the_network_is_int8_and_the_detection_float(model):
    path = model / "int8.onnx"
    quantized, heads = onnx.load(str(path)), read_metadata(path)["heads"]
    onnx.checker.check_model(quantized, full_check=True)
    assert len(convolutions_in_int8(path)) == 47
    network = {node.name for node in nodes_before(quantized, heads)}
    rest = [node.op_type for node in quantized.graph.node if node.name not in network]
    assert "Softmax" in rest and "NonMaxSuppression" in rest and "QuantizeLinear" not in rest and "DequantizeLinear" not in rest
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in quantized.graph.initializer}
    kernels = [w for w in weights.values() if w.dtype == np.int8 and w.ndim == 4]
    scales = {len(weights[n.input[1]].reshape(-1)) for n in quantized.graph.node if n.op_type == "DequantizeLinear"}
    assert len(kernels) == 47 and {k.shape[0] for k in kernels} <= scales  # a scale for each channel


def test_the_metadata_stay(model):
    before, after = read_metadata(model / "float.onnx"), read_metadata(model / "int8.onnx")
    assert before == after and after["classes"] == ["a", "b", "c"]
    props = {p.key: p.value for p in onnx.load(str(model / "int8.onnx")).metadata_props}
    assert props["quantized"] == "int8"
    assert (model / "int8.onnx").stat().st_size < 0.6 * (model / "float.onnx").stat().st_size


def test_the_first_convolutions_can_stay_in_float(model, tmp_path):
    done = quantize_onnx(model / "float.onnx", tmp_path / "x.onnx", BATCHES[:1], float_first=3)
    kept = convolutions_in_int8(tmp_path / "x.onnx")
    assert (done["float"], len(kept)) == (3, 44)
    assert not any(f"mobilenet0_conv{i}_fwd" in name for name in kept for i in range(3))


def test_as_few_stay_in_float_as_are_needed(model, tmp_path):
    done = quantize_onnx(model / "float.onnx", tmp_path / "x.onnx", BATCHES[:1])
    assert done["logits_db"] >= 35 or done["float"] == 13
    assert len(convolutions_in_int8(tmp_path / "x.onnx")) == 47 - done["float"] < 47
    if done["float"] < 13:
        fewer = {3: 1, 5: 3, 7: 5, 9: 7, 1: 0}[done["float"]]
        assert quantize_onnx(model / "float.onnx", tmp_path / "y.onnx", BATCHES[:1], float_first=fewer)["logits_db"] < 35


def test_int8_begins_where_nothing_is_read_in_float_too():
    """conv a, b with a residual around b, then conv c: b reads what the addition reads, so b can't be the last in float alone."""
    make = onnx.helper.make_node
    network = [
        make("Conv", ["images"], ["a"]), make("Relu", ["a"], ["r"]), make("Conv", ["r"], ["b"]), make("Conv", ["b"], ["c"]),
        make("Add", ["c", "r"], ["s"]), make("Conv", ["s"], ["d"]),
    ]  # fmt: skip
    assert [int8_start(network, count) for count in range(5)] == [0, 2, 5, 5, 6]


def test_it_finds_nearly_the_same(model):
    sides = [open_side(resolve(model / name), "onnxruntime") for name in ("float.onnx", "int8.onnx")]
    found = certify(*sides, Trial(model / "images", score=0.3, tolerance=Tolerance(agreement=0.4))).summary
    counts = found["detections"]
    assert found["passed"] and counts["matched"] > 0.6 * counts["a"] > 30
    assert 0 < found["heads"]["logits"] < 4 and found["scores"]["mean"] < 0.1


def test_what_is_refused(model, tmp_path):
    with pytest.raises(CallError, match="quantized already"):
        quantize_onnx(model / "int8.onnx", tmp_path / "x.onnx", BATCHES)
    with pytest.raises(CallError, match="no images to calibrate on"):
        quantize_onnx(model / "float.onnx", tmp_path / "x.onnx", [])
    with pytest.raises(CallError, match="nothing would be in int8 behind 47 convolutions in float: the model has 47"):
        quantize_onnx(model / "float.onnx", tmp_path / "x.onnx", BATCHES, float_first=47)
    with pytest.raises(ExportError, match=r"none\.onnx: no such ONNX file"):
        quantize_onnx(tmp_path / "none.onnx", tmp_path / "x.onnx", BATCHES)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_certificate(model, tmp_path, capsys):
    arguments = ["quantize", str(model / "float.onnx"), "--images", str(model / "images"), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--count", "3", "--float-first", "3", "--score", "0.3", "--agreement", "0.5"])
    out, err = capsys.readouterr()
    assert not stopped.value.code and "PASSED: at least 0.5 of the detections agree" in out and "calibrated on 3 images" in err
    found = json.loads((tmp_path / "certificate.json").read_text())
    assert found["images"] == 3 and found["b"]["model"].endswith("-int8.onnx") and found["detections"]["matched"] > 20
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and "float-int8.onnx is there already" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--count", "3", "--float-first", "0", "--agreement", "1", "--force"])
    assert stopped.value.code == 1 and "of the detections agree, at least 1 should" in capsys.readouterr().out


def test_the_command_needs_images(model, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["quantize", str(model / "float.onnx"), "--out", str(tmp_path)])
    assert stopped.value.code == 2 and "--images" in capsys.readouterr().err


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def small_network(*nodes, **arrays):
    """images -> nodes -> y, with float32 arrays as weights."""
    values = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 4, 8, 8] if n == "images" else None)
        for n in ("images", "y")
    ]
    weights = [onnx.numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()]
    graph = onnx.helper.make_graph([onnx.helper.make_node(*n[:3], **n[3]) for n in nodes], "g", values[:1], values[1:], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def test_equalization_keeps_the_function():
    """Ordinary to depthwise to ordinary, through ReLU and pooling: ranges of channels come together, outputs stay."""
    rng = np.random.default_rng(3)
    spread = 10.0 ** rng.uniform(-2, 2, 6)
    arrays = {
        "w0": rng.normal(size=(6, 4, 3, 3)) * spread.reshape(-1, 1, 1, 1), "b0": rng.normal(size=6) * spread,
        "w1": rng.normal(size=(6, 1, 3, 3)), "b1": rng.normal(size=6), "w2": rng.normal(size=(5, 6, 1, 1)),
    }  # fmt: skip
    model = small_network(
        ("Conv", ["images", "w0", "b0"], ["c0"], {}), ("Relu", ["c0"], ["r0"], {}),
        ("Conv", ["r0", "w1", "b1"], ["c1"], {"group": 6}), ("Relu", ["c1"], ["r1"], {}),
        ("MaxPool", ["r1"], ["p1"], {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Conv", ["p1", "w2"], ["y"], {}), **arrays,
    )  # fmt: skip
    images = rng.normal(size=(1, 4, 8, 8)).astype(np.float32)
    before = run(model, images)
    wide = onnx.ModelProto.FromString(model.SerializeToString())
    wide.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n) for n in ("c0", "r0", "c1", "r1", "p1"))
    session = onnxruntime.InferenceSession(wide.SerializeToString(), providers=["CPUExecutionProvider"])
    values = dict(zip(["y", "c0", "r0", "c1", "r1", "p1"], session.run(None, {"images": images})))
    ranges = {n: (np.minimum(v.min((0, 2, 3)), 0), np.maximum(v.max((0, 2, 3)), 0)) for n, v in values.items()}
    first = ranges["r0"][1].copy()
    assert equalize(model, ranges) == 2
    np.testing.assert_allclose(run(model, images), before, rtol=2e-5, atol=2e-5 * np.abs(before).max())
    assert first.max() / first.min() > 100
    np.testing.assert_allclose(ranges["r0"][1], first.max(), rtol=1e-6)  # a depthwise reader lets them be equal
    np.testing.assert_allclose(run(wide, images), before)  # the copy is another model


@pytest.mark.parametrize("reader", ["Sigmoid", "output", "shared"])
def test_what_is_not_homogeneous_is_left_alone(reader):
    rng = np.random.default_rng(4)
    arrays = {"w0": rng.normal(size=(4, 4, 1, 1)), "w1": rng.normal(size=(4, 4, 1, 1))}
    nodes = {
        "Sigmoid": [("Conv", ["images", "w0"], ["c"], {}), ("Sigmoid", ["c"], ["s"], {}), ("Conv", ["s", "w1"], ["y"], {})],
        "output": [("Conv", ["images", "w0"], ["y"], {}), ("Conv", ["y", "w1"], ["z"], {})],
        "shared": [("Conv", ["images", "w0"], ["c"], {}), ("Conv", ["c", "w0"], ["y"], {})],
    }[reader]
    model = small_network(*nodes, **arrays)
    before = model.SerializeToString()
    assert equalize(model, {n: (-np.arange(1.0, 5), np.arange(1.0, 5)) for n in ("c", "s", "y")}) == 0
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]).tolist() == arrays["w0"].astype(np.float32).tolist()
    assert len(before) == len(model.SerializeToString())
