"""The backend openvino: a model cut at its head outputs, so that the network alone runs in bf16."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
openvino = pytest.importorskip("openvino", reason="needs the extra openvino")

import ssdzoo
from ssdzoo.export import to_onnx
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.formats.onnx_metadata import read_metadata
from ssdzoo.predict.backends.openvino import split_model
from tests.export.onnx.models import older_symbol
from tests.predict.exported import IMAGES, export_small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported model, and .onnx files of it: of one size, and of free height and width."""
    folder = tmp_path_factory.mktemp("openvino")
    export_small(folder)
    export_onnx(folder / "pair", folder / "free.onnx", dynamic_size=True)
    write_older(folder / "older.onnx")
    return folder


def write_older(path):
    """An ONNX file of MultiBoxDetection, whose anchors and boxes depend on height and width."""
    symbol, rng = older_symbol(), np.random.default_rng(0)
    shapes, _, more = symbol.infer_shape(data=(1, 3, 96, 128))
    shapes = dict(zip([*symbol.list_arguments(), *symbol.list_auxiliary_states()], [*shapes, *more]))
    arrays = {n: np.abs(rng.normal(size=s)).astype(np.float32) / 4 for n, s in shapes.items() if n != "data"}
    to_onnx(symbol.tojson(), arrays, path, size=(96, 128), dynamic_size=True)


@pytest.mark.parametrize("name, size, anchors", [
    ("float", (300, 300), 2268), ("free", (160, 224), 874), ("older", (96, 128), 208),
])  # fmt: skip
def test_a_model_cut_at_its_heads_answers_the_same(name, size, anchors, folder):
    """As with bf16, where the detection stays in float32. With free height and width it takes the sizes of feature maps too."""
    path, core = folder / f"{name}.onnx", openvino.Core()
    images = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    whole = core.compile_model(core.read_model(path), "CPU", options)([images])
    parts = split_model(openvino, core.read_model(path), read_metadata(path))
    kinds = [output.element_type for output in parts[0].outputs]
    assert kinds[:2] == [openvino.Type.f32] * 2 and all(kind.is_integral() for kind in kinds[2:])
    assert (len(kinds) > 2) == (name != "float")
    network, detection = (core.compile_model(part, "CPU", options) for part in parts)
    found = network([images])
    logits, offsets = found[0], found[1]
    assert anchors in logits.shape and offsets.shape == (2, anchors, 4)
    found = detection([np.array(found[i]) for i in range(len(found))])
    for i in range(3):
        np.testing.assert_array_equal(found[i], whole[i])


def test_free_height_and_width_in_bf16(folder):
    """The scores are those of bf16, and boxes are not rounded to whole pixels, as in a file of one size."""
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a processor with bf16")
    fixed, free = (ssdzoo.load(folder / f"{name}.onnx", "openvino", precision="bf16") for name in ("float", "free"))
    assert fixed.runtime == free.runtime and " bf16 " in free.runtime
    exact = ssdzoo.load(folder / "free.onnx", "openvino", precision="f32")(IMAGES, score=0.1)
    for a, b, e in zip(fixed(IMAGES, score=0.1), free(IMAGES, score=0.1), exact, strict=True):
        assert len(a) > 20 and a.labels == b.labels
        np.testing.assert_allclose(b.scores, a.scores, atol=1e-6)
        np.testing.assert_allclose(b.boxes, a.boxes, atol=1e-3)
        assert np.abs(b.scores[:5] - e.scores[:5]).max() > 1e-5 and (b.boxes % 1 != 0).mean() > 0.5
