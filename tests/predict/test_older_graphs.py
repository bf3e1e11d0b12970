"""Exported models with MultiBoxDetection: mxnet-ssd's, and those of the numpy interface, as D2L's book writes them."""

import json

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.errors import CallError, ExportError, WeightsError
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.model_source import resolve
from ssdzoo.report.pictures import save_image
from ssdzoo.runtime import mxnet
from tests.command import ssdzoo as command
from tests.export.onnx.models import older_symbol

mx = mxnet()
PHOTO = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
MEAN = (123, 117, 104)
SIDECAR = 'base_size = [96, 128]\nclasses = ["a", "b", "c"]\n'


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """The folder of an exported model of mxnet-ssd, and the ids, scores and boxes that it gives with its own normalization."""
    folder, symbol, rng = tmp_path_factory.mktemp("older"), older_symbol(), np.random.default_rng(0)
    shapes, _, more = symbol.infer_shape(data=(1, 3, 96, 128))
    arrays = {n: mx.nd.array(rng.normal(0, 0.1, s)) for n, s in zip(symbol.list_arguments(), shapes) if n != "data"}
    auxiliary = {n: mx.nd.array(np.abs(rng.normal(1, 0.1, s))) for n, s in zip(symbol.list_auxiliary_states(), more)}
    symbol.save(str(folder / "old-symbol.json"))
    named = {"arg": arrays, "aux": auxiliary}
    mx.nd.save(str(folder / "old-0000.params"), {f"{kind}:{n}": a for kind, some in named.items() for n, a in some.items()})
    (folder / "old.toml").write_text(SIDECAR)
    pixels = mx.nd.array((PHOTO.astype(np.float32) - MEAN).transpose(2, 0, 1)[None])
    rows = symbol.bind(mx.cpu(), {**arrays, "data": pixels}, aux_states=auxiliary).forward()[0].asnumpy()[0]
    rows = rows[rows[:, 0] >= 0][:100]
    return folder, (rows[:, 0], rows[:, 1], np.clip(rows[:, 2:] * [128, 96, 128, 96], 0, [128, 96, 128, 96]))


def assert_finds(expected, detector):
    found = detector(PHOTO, 0.0)[0]
    ids, scores, boxes = expected
    assert len(found) == len(ids) > 20
    np.testing.assert_array_equal(found.class_ids, ids)
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes, atol=0.01)


@pytest.mark.parametrize("backend", ["mxnet", "onnxruntime"])
def test_mean_and_std_come_from_the_user_or_the_sidecar(backend, older, tmp_path):
    folder, expected = older
    for mean, std in ((None, None), (0.5, None), (None, 1)):
        with pytest.raises(CallError, match="give mean= and std=|belong together"):
            ssdzoo.load(folder, backend, mean=mean, std=std)
    assert_finds(expected, ssdzoo.load(folder, backend, mean=MEAN, std=1))
    other = ssdzoo.load(folder, backend, mean=0, std=1)  # another ONNX file than before
    assert other.preset.mean == (0, 0, 0) and other.preset.std == (1 / 255,) * 3
    assert not np.allclose(other(PHOTO, 0.0)[0].scores, expected[1], atol=1e-3)
    for file in folder.glob("old-*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "old.toml").write_text(SIDECAR + "mean = [123, 117, 104]\nstd = [1, 1, 1]\n")
    assert_finds(expected, ssdzoo.load(tmp_path, backend))


def test_an_onnx_file_without_mean_and_std_needs_them(older, tmp_path):
    folder, expected = older
    unknown = ssdzoo.export.to_onnx(folder / "old-symbol.json", folder / "old-0000.params", tmp_path / "a.onnx", size=(96, 128))
    with pytest.raises(CallError, match="a.onnx: .* give mean= and std="):
        ssdzoo.load(unknown)
    assert_finds(expected, ssdzoo.load(unknown, "onnxruntime", mean=MEAN, std=(1, 1, 1)))
    with pytest.raises(CallError, match="give mean= and std="):
        export_onnx(folder, tmp_path / "b.onnx")
    command("export", folder, "--out", tmp_path, "--format", "onnx", "--mean", "123,117,104", "--std", "1", "--with-preprocess")
    assert_finds(expected, ssdzoo.load(tmp_path / "old.onnx", "onnxruntime"))
    with pytest.raises(CallError, match="says its mean and std itself: leave mean= and std= out"):
        ssdzoo.load(tmp_path / "old.onnx", mean=0, std=1)


def test_the_command_line_names_its_options(older, tmp_path):
    folder, expected = older
    save_image(tmp_path / "x.png", PHOTO)
    call = "predict", folder, tmp_path / "x.png", "--out", tmp_path / "out", "--backend", "onnxruntime", "--score", "0"
    _, errors = command(*call, status=2)
    assert "give --mean and --std, or write both into its .toml" in errors and "123,117,104 and std 1" in errors
    _, errors = command("compare", folder, folder, "--images", tmp_path / "x.png", status=2)
    assert "give --mean-a or --mean-b and --std-a or --std-b" in errors
    _, errors = command(*call, "--mean", "123,117", "--std", "1", status=2)
    assert "expected a number, or three" in errors
    command(*call, "--mean", "123,117,104", "--std", "1")
    found = json.loads((tmp_path / "out" / "detections.json").read_text())[0]["detections"]
    assert len(found) == len(expected[0]) and found[0]["score"] == pytest.approx(expected[1][0], abs=1e-5)


def test_labels_of_a_training_are_not_needed(older, tmp_path):
    folder, expected = older
    whole = json.loads((folder / "old-symbol.json").read_text())
    nodes = whole["nodes"]
    softmax = next(node for node in nodes if node["op"] == "SoftmaxActivation")
    softmax.update(op="SoftmaxOutput", attrs={"multi_output": "True"}, inputs=[*softmax["inputs"], [1, 0, 0]])
    for node in nodes:  # the label becomes node 1
        node["inputs"] = [[i + (i >= 1), *rest] if [i, *rest] != [1, 0, 0] or node is not softmax else [1, 0, 0]
                          for i, *rest in node["inputs"]]  # fmt: skip
    nodes.insert(1, {"op": "null", "name": "cls_prob_label", "inputs": []})
    whole["arg_nodes"] = [i for i, node in enumerate(nodes) if node["op"] == "null"]
    whole["heads"] = [[len(nodes) - 1, 0, 0]]
    del whole["node_row_ptr"]
    (tmp_path / "old-symbol.json").write_text(json.dumps(whole))
    (tmp_path / "old-0000.params").write_bytes((folder / "old-0000.params").read_bytes())
    (tmp_path / "old.toml").write_text(SIDECAR)
    for backend in ("mxnet", "onnxruntime"):
        assert_finds(expected, ssdzoo.load(tmp_path, backend, mean=MEAN, std=1))


def test_the_input_size_must_be_known(older, tmp_path):
    folder, _ = older
    for file in folder.glob("old-*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for backend in ("mxnet", "onnxruntime"):
        with pytest.raises(WeightsError, match=r"write base_size = \[HEIGHT, WIDTH\] into .*old.toml"):
            ssdzoo.load(tmp_path, backend, mean=0, std=1)
    (tmp_path / "old.toml").write_text("base_size = [96, 128]")
    assert ssdzoo.load(tmp_path, mean=0, std=1).names == ["class 0", "class 1", "class 2"]


def test_other_models_have_their_own_mean_and_std(older, tmp_path):
    with pytest.raises(CallError, match="has its own mean and std: leave mean= and std= out"):
        resolve("ssd_300_mobilenet0.25_voc", mean=0, std=1)
    folder, _ = older
    whole = json.loads((folder / "old-symbol.json").read_text())
    assert whole["nodes"][0]["name"] == "data"
    nodes = [whole["nodes"][0], {"op": "_div_scalar", "name": "unit", "attrs": {"scalar": "255"}, "inputs": [[0, 0, 0]]}]
    nodes += [{**n, "inputs": [[i + 1, *rest] for i, *rest in n["inputs"]]} for n in whole["nodes"][1:]]
    whole.update(nodes=nodes, heads=[[len(nodes) - 1, 0, 0]], arg_nodes=[i for i, n in enumerate(nodes) if n["op"] == "null"])
    (tmp_path / "old-symbol.json").write_text(json.dumps(whole))
    (tmp_path / "old-0000.params").write_bytes((folder / "old-0000.params").read_bytes())
    with pytest.raises(CallError, match="its graph normalizes images itself: leave mean= and std= out"):
        resolve(tmp_path, mean=0, std=1).preset  # noqa: B018


class TinySSD(mx.gluon.HybridBlock):
    """One feature map, written with the numpy interface."""

    def __init__(self):
        super().__init__()
        self.body = mx.gluon.nn.HybridSequential()
        for channels in (8, 16):
            self.body.add(
                mx.gluon.nn.Conv2D(channels, 3, padding=1, strides=2), mx.gluon.nn.BatchNorm(in_channels=channels),
                mx.gluon.nn.Activation("relu"), mx.gluon.nn.MaxPool2D(2),
            )  # fmt: skip
        self.classes, self.boxes = mx.gluon.nn.Conv2D(4 * 3, 3, padding=1), mx.gluon.nn.Conv2D(4 * 4, 3, padding=1)

    def hybrid_forward(self, F, x):
        x = self.body(x)
        anchors = F.npx.multibox_prior(x, sizes=(0.3, 0.5), ratios=(1, 2, 0.5))
        logits, offsets = (F.npx.batch_flatten(F.np.transpose(y, axes=(0, 2, 3, 1))) for y in (self.classes(x), self.boxes(x)))
        logits = F.np.concatenate([F.npx.reshape(logits, (-2, -1, 3))], axis=1)
        scores = F.np.transpose(F.npx.softmax(logits, axis=-1), axes=(0, 2, 1))
        return F.npx.multibox_detection(scores, offsets * 0.5, anchors, nms_threshold=0.5)


@pytest.fixture(scope="module")
def numpy_interface(tmp_path_factory):
    """A model of the numpy interface, exported, and the ids, scores and boxes that it gives."""
    path = tmp_path_factory.mktemp("numpy") / "tiny"
    with mx.util.np_shape(True), mx.util.np_array(True):
        mx.random.seed(0)
        net = TinySSD()
        net.initialize(mx.init.Normal(0.1))
        net.hybridize()
        rows = net(mx.np.array(PHOTO.transpose(2, 0, 1)[None].astype(np.float32))).asnumpy()[0]
        net.export(str(path))
    path.with_suffix(".toml").write_text("base_size = [96, 128]\nmean = [0, 0, 0]\nstd = [1, 1, 1]")
    rows = rows[rows[:, 0] >= 0][:100]
    return path, (rows[:, 0], rows[:, 1], np.clip(rows[:, 2:] * [128, 96, 128, 96], 0, [128, 96, 128, 96]))


@pytest.mark.parametrize("backend", ["mxnet", "onnxruntime"])
def test_the_numpy_interface(backend, numpy_interface):
    path, expected = numpy_interface
    text = path.with_name("tiny-symbol.json").read_text()
    assert all(name in text for name in ("_np_transpose", "_npi_concatenate", "_npx_reshape", "_npi_multiply_scalar"))
    detector = ssdzoo.load(path, backend)
    assert detector.names == ["class 0", "class 1"]
    assert_finds(expected, detector)


def test_an_operator_of_the_numpy_interface_without_a_translation(numpy_interface, tmp_path):
    path, _ = numpy_interface
    text = path.with_name("tiny-symbol.json").read_text().replace('"_npi_concatenate"', '"_npi_einsum"')
    with pytest.raises(ExportError, match=r"\(_npi_einsum\) with inputs .*: this operator is not known here"):
        ssdzoo.export.to_onnx(text, path.with_name("tiny-0000.params"), tmp_path / "x.onnx")
