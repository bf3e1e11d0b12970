"""Exported pairs without a sidecar, as GluonCV writes them."""

import json
import shutil

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError, ExportError, WeightsError
from ssdzoo.export.symbol import export_model
from ssdzoo.predict.backends.mxnet import MXNetBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.weights import read_params, write_params
from ssdzoo.zoo import find_preset
from tests.networks import small_network
from tests.test_gluoncv_parity import gluoncv_network

mx = mxnet()
PHOTO = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)


def export(name, folder, classes=("a", "b", "c")):
    """GluonCV's network, its preset, and its two kinds of export in `folder`: plain.*, and raw.* which takes pixels."""
    mx.random.seed(0)
    net, preset = gluoncv_network(name, classes), find_preset(name)
    preset = preset if preset.classes else preset.with_classes(classes)
    size = preset.base_size[0]
    net.hybridize()
    net(mx.nd.zeros((1, 3, size, size)))
    net.export(str(folder / "plain"))
    gluoncv().utils.export_block(str(folder / "raw"), net, data_shape=(size, size, 3))
    return net, preset


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ssd_512_resnet18_v1_voc", marks=pytest.mark.long),
        pytest.param("ssd_300_vgg16_atrous_coco", marks=pytest.mark.long),
        pytest.param("ssd_300_mobilenet1.0_lite_coco", marks=pytest.mark.long),
        "ssd_300_mobilenet0.25_coco",
        "ssd_300_mobilenet0.25_custom",
    ],
)
def test_gluoncv_exports_are_detectors(name, tmp_path):
    net, preset = export(name, tmp_path)
    expected = Detector(MXNetBackend(net), preset)(PHOTO, 0.0)[0]
    assert len(expected) == 100
    names = list(preset.classes) if "custom" not in name else ["class 0", "class 1", "class 2"]
    for pair, mean in (("plain", (0.485, 0.456, 0.406)), ("raw", (0, 0, 0))):
        detector = ssdzoo.load(tmp_path / pair)
        assert detector.preset.base_size == preset.base_size and detector.names == names and detector.preset.mean == mean
        found = detector(PHOTO, 0.0)[0]
        assert_alike(found, expected)


def assert_alike(ones, others):
    """The same detections. Those of equal scores may change places, because a graph that normalizes rounds differently."""
    np.testing.assert_allclose(ones.scores, others.scores, atol=1e-5)
    for a, b in ((ones, others), (others, ones)):
        for class_id, score, box in zip(a.class_ids, a.scores, a.boxes):
            near = (np.abs(b.scores - score) < 1e-5) & (np.abs(b.boxes - box).max(axis=1) < 0.01)
            assert (near & (b.class_ids == class_id)).any()


@pytest.mark.parametrize("classes", [["a"], ["a", "b", "c"], [str(i) for i in range(20)]])
def test_our_own_exports_without_their_sidecar(classes, tmp_path):
    net = small_network(classes)
    preset = find_preset("ssd_300_mobilenet0.25_custom").with_classes(classes)
    path = export_model(net, preset, tmp_path)
    expected = ssdzoo.load(tmp_path)(PHOTO, 0.0)[0]
    sidecar = tmp_path / f"{path.name}.toml"
    sidecar.unlink()
    detector = ssdzoo.load(tmp_path)
    assert detector.preset.base_size == (300, 300) and len(detector.names) == len(classes)
    np.testing.assert_array_equal(detector(PHOTO, 0.0)[0].boxes, expected.boxes)
    sidecar.write_text(f"classes = {json.dumps(classes)}\nbase_size = [200, 250]\n")
    detector = ssdzoo.load(tmp_path)
    assert detector.names == classes and detector.preset.base_size == (200, 250)
    sidecar.write_text('classes = ["x", "y"]')
    with pytest.raises(CallError, match=f"has {len(classes)} classes, its sidecar names 2"):
        ssdzoo.load(tmp_path)
    sidecar.write_text('class = ["x", "y"]')
    with pytest.raises(CallError, match="do you mean 'classes'"):
        ssdzoo.load(tmp_path)


def test_inputs_that_are_not_square(tmp_path):
    net = ssdzoo.get_model("ssd_512_mobilenet0.25_s8_custom", classes=["a", "b"])
    wide = ssdzoo.get_ssd(
        "mobilenet0.25", (200, 520), ["relu22_fwd", "relu26_fwd"], [64, 64, 32, 32],
        [51.2, 102.4, 189.4, 276.4, 363.52, 450.6, 492], [[1, 2, 0.5]] * 6, None, ["a", "b"],
    )  # fmt: skip
    for built, size in ((net, (512, 512)), (wide, (200, 520))):
        built.initialize(mx.init.Xavier())
        built.export(str(tmp_path / "x"))
        assert ssdzoo.load(tmp_path / "x").preset.base_size == size


def test_a_training_graph_and_other_networks_are_refused(tmp_path):
    small_network().export(str(tmp_path / "heads"), heads=True)
    with pytest.raises(WeightsError, match="heads-symbol.json: its outputs are the head outputs of a training graph"):
        ssdzoo.load(tmp_path / "heads")
    classifier = mx.gluon.model_zoo.vision.mobilenet0_25()
    classifier.initialize()
    classifier.hybridize()
    classifier(mx.nd.zeros((1, 3, 64, 64)))
    classifier.export(str(tmp_path / "classifier"))
    with pytest.raises(WeightsError, match="not an SSD of GluonCV's: no array anchor_0"):
        ssdzoo.load(tmp_path / "classifier")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with the exported model x of 3 classes."""
    folder = tmp_path_factory.mktemp("small")
    small_network().export(str(folder / "x"))
    return folder


def copied(small, folder):
    """The symbol of the exported model, after it was copied into `folder`."""
    for path in small.iterdir():
        shutil.copy(path, folder)
    return folder / "x-symbol.json"


def test_an_input_size_that_cannot_be_told(small, tmp_path):
    copied(small, tmp_path)
    arrays = read_params(tmp_path / "x-0000.params")
    name = next(name for name in arrays if name.endswith("anchor_5"))
    arrays[name] = np.zeros_like(arrays[name])
    write_params(tmp_path / "x-0000.params", arrays)
    with pytest.raises(WeightsError, match=r"input size can't be inferred .* write base_size = \[HEIGHT, WIDTH\] into .*x\.toml"):
        ssdzoo.load(tmp_path / "x")
    (tmp_path / "x.toml").write_text("base_size = 300")
    assert len(ssdzoo.load(tmp_path / "x").names) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda graph: [],
        lambda graph: {**graph, "nodes": "many"},
        lambda graph: {**graph, "heads": []},
        lambda graph: {**graph, "heads": [[99999, 0, 0]]},
        lambda graph: {**graph, "heads": [[5, -1, 0]]},
        lambda graph: {**graph, "arg_nodes": [99999]},
        lambda graph: {**graph, "nodes": [{**node, "inputs": [[i, 0, 0]]} for i, node in enumerate(graph["nodes"])]},
        lambda graph: {**graph, "nodes": [{**node, "inputs": [[-1, 0, 0]]} for node in graph["nodes"]]},
        lambda graph: {
            **graph,
            "nodes": [{**node, "inputs": [[0, -1, 0]] if i else []} for i, node in enumerate(graph["nodes"])],
        },
        lambda graph: {**graph, "nodes": [{"op": "null"}]},
    ],
)
def test_damaged_graphs(damage, small, tmp_path):
    path = copied(small, tmp_path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(ExportError, match=r"x-symbol\.json: not a symbol of MXNet"):
        ssdzoo.load(tmp_path / "x")


def test_an_output_that_its_node_lacks(small, tmp_path):
    path = copied(small, tmp_path)
    graph = json.loads(path.read_text())
    path.write_text(json.dumps({**graph, "heads": [[graph["heads"][0][0], 7, 0], *graph["heads"][1:]]}))
    with pytest.raises(ExportError, match=r"x-symbol\.json: node '\w+' \(slice_axis\) has no output 7"):
        ssdzoo.load(tmp_path / "x")


def test_a_graph_with_an_operator_that_mxnet_lacks(small, tmp_path):
    path = copied(small, tmp_path)
    path.write_text(path.read_text().replace("Pooling", "Poolong").replace('"Activation"', '"Actovation"'))
    with pytest.raises(ExportError, match=r"x-symbol\.json: doesn't load: .*Operator \w+ is not registered"):
        ssdzoo.load(tmp_path / "x")


def test_a_pair_of_two_models(small, tmp_path):
    copied(small, tmp_path)
    arrays = read_params(tmp_path / "x-0000.params")
    write_params(tmp_path / "x-0000.params", {**arrays, "arg:more": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match="don't belong together: the graph lacks 'more'"):
        ssdzoo.load(tmp_path / "x")
    write_params(tmp_path / "x-0000.params", dict(list(arrays.items())[1:]))
    with pytest.raises(WeightsError, match="don't belong together: the parameter file lacks"):
        ssdzoo.load(tmp_path / "x")
