"""SSDs on VGG-16 of mxnet-ssd and SageMaker, converted: the same head outputs, and refusals."""

import json
import re

import numpy as np
import pytest

from ssdzoo.boxes import corner_to_center
from ssdzoo.convert import convert
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.exported_files import find_exported
from ssdzoo.formats.detection_graph import read_detection
from ssdzoo.model_source import resolve
from ssdzoo.runtime import mxnet
from ssdzoo.weights import read_params
from ssdzoo.weights.importers.mxnet_ssd import import_mxnet_ssd
from tests import mxnet_ssd
from tests.command import ssdzoo as command

mx = mxnet()
PLANES = np.random.default_rng(0).normal(0, 60, (1, 3, 300, 300)).astype(np.float32)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """The folder of a model with the real numbers of channels, and the model."""
    model = mxnet_ssd.build("vgg16_reduced", 300, divisor=1, calibrated=False)
    return model.write(tmp_path_factory.mktemp("vgg")), model


def head_outputs(model, planes):
    """Class logits (N, C + 1), box offsets (N, 4), and anchors (N, 4) in center form and pixels, as mxnet computes them."""
    internals = model.symbol.get_internals()
    names = "multibox_cls_pred", "multibox_loc_pred", "multibox_anchors"
    heads = mx.sym.Group([internals[f"{name}_output"] for name in names])
    wanted = heads.list_arguments()
    given = {n.removeprefix("arg:"): a for n, a in model.arrays.items() if n.removeprefix("arg:") in wanted}
    logits, offsets, anchors = heads.bind(mx.cpu(), {**given, "data": mx.nd.array(planes)}, grad_req="null").forward()
    return logits.asnumpy()[0].T, offsets.asnumpy().reshape(-1, 4), corner_to_center(anchors.asnumpy()[0]) * planes.shape[2]


def assert_equal_heads(model, params, planes):
    found = [output.asnumpy()[0] for output in resolve(params).network().head_outputs(mx.nd.array(planes))]
    logits, offsets, anchors = head_outputs(model, planes)
    np.testing.assert_allclose(found[0], logits, rtol=0, atol=1e-5 * np.abs(logits).max())
    np.testing.assert_allclose(found[1], offsets, rtol=0, atol=1e-5 * np.abs(offsets).max())
    np.testing.assert_allclose(found[2], anchors, rtol=0, atol=2e-4)


def test_the_head_outputs_are_equal(vgg, tmp_path):
    folder, model = vgg
    normalized = "--mean", "123,117,104", "--std", "1"
    out, _ = command("convert", folder, tmp_path / "new.params", "--classes", "a,b,c", *normalized)
    assert "ssd_300_vgg16_atrous_custom, 3 classes: 78 parameters" in out
    assert "gives an anchor the class of its highest score alone" in out
    preset = resolve(tmp_path / "new.params").preset
    assert preset.classes == ("a", "b", "c") and preset.base_size == (300, 300) and preset.nms_thresh == 0.45
    assert preset.mean == (123 / 255, 117 / 255, 104 / 255) and preset.std == (1 / 255,) * 3
    assert preset.sizes[0] == pytest.approx((30, 42.3, 30, 30)) and preset.steps == (8, 16, 32, 64, 100, 300)
    assert_equal_heads(model, tmp_path / "new.params", PLANES)
    before = (tmp_path / "new.params").read_bytes()
    _, errors = command("convert", folder, tmp_path / "new.params", *normalized, status=2)
    assert "is there already" in errors and (tmp_path / "new.params").read_bytes() == before


@pytest.mark.long
def test_the_head_outputs_of_a_512(tmp_path):
    """Its last feature map is 2x2."""
    model = mxnet_ssd.build("vgg16_reduced", 512, divisor=1, calibrated=False)
    archive = mxnet_ssd.pack(model.write(tmp_path / "m"), tmp_path / "model.tar.gz")
    done = convert(archive, tmp_path / "new.params", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    assert done.model == "ssd_512_vgg16_atrous_custom" and done.source == archive and len(done.classes) == 3
    assert "nobody names its 3 classes" in done.notes[-1] and resolve(tmp_path / "new.params").preset.last_kernel == 3
    assert_equal_heads(model, tmp_path / "new.params", np.random.default_rng(0).normal(0, 60, (1, 3, 512, 512)))


def imported(folder, change_arrays=lambda arrays: arrays, change_text=lambda text: text):
    """The folder's model, with its arrays and its symbol changed."""
    exported = find_exported(folder)
    preset = resolve(folder, mean=0, std=1).preset
    graph = read_detection(change_text(exported.symbol.read_text()))
    return import_mxnet_ssd(graph, change_arrays(exported.arrays()), preset, exported.params)


def legacy(name):
    """The names of mxnet-ssd's first version."""
    name = re.sub(r"multi_feat_(\d)_conv_(\d)x\d_conv", lambda m: f"conv{int(m[1]) + 6}_{1 if m[2] == '1' else 2}", name)
    name = re.sub(r"multi_feat_(\d)_conv_3x3_relu", lambda m: f"relu{int(m[1]) + 6}_2", name)
    return re.sub(r"\bfc([67])", r"conv\1", name)


def test_the_names_of_older_files(vgg):
    folder, _ = vgg
    ours = imported(folder)
    older = imported(folder, lambda arrays: {legacy(name): a for name, a in arrays.items()} | {"fc8_bias": np.zeros(3)}, legacy)
    assert ours.arrays.keys() == older.arrays.keys() and older.preset == ours.preset
    assert all(np.array_equal(older.arrays[name], array) for name, array in ours.arrays.items())
    across = imported(folder, change_text=lambda text: text.replace('"force_suppress": "False"', '"force_suppress": "True"'))
    assert "compares the boxes of all classes" in across.notes[-1]


@pytest.mark.parametrize(
    "arrays, text, message",
    [
        (lambda a: {**a, "more": np.zeros(3, np.float32)}, str, r"'more' \(3,\) has no place in it"),
        (lambda a: {n: v for n, v in a.items() if n != "fc7_bias"}, str, r"without 'fc7.bias' \(1024,\)"),
        (lambda a: {**a, "fc6_weight": a["fc6_weight"][..., :2]}, str, "'fc6.weight' is .* expected"),
        (dict, lambda t: t.replace("relu7_anchors", "other"), "computes anchors in 6 nodes; expected 6, such as relu4_3_anchors"),
        (
            dict, lambda t: t.replace('"nms_topk": "400"', '"nms_topk": "400", "variances": "(1, 1, 1, 1)"'),
            r"its variances are \[1, 1, 1, 1\]; expected \[0.1, 0.1, 0.2, 0.2\]",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit(arrays, text, message, vgg):
    with pytest.raises(WeightsError, match=message):
        imported(vgg[0], arrays, text)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("stage3_unit23_conv1_weight", "a pre-activation ResNet-101"), ("stage1_unit1_bn1_gamma", "a pre-activation ResNet-50"),
        ("mixed_7_conv_weight", "an Inception-v3"), ("DBstage1_unit1_conv1_weight", "a DenseNet"),
        ("conv_2_dw_conv2d_weight", "a MobileNet"), ("x", "none of its networks: its first parameter is 'x'"),
    ],
)  # fmt: skip
def test_other_architectures_are_named(name, expected):
    with pytest.raises(
        WeightsError, match=f"only mxnet-ssd's SSD on VGG-16 can be converted, and this one looks like {expected}"
    ):
        import_mxnet_ssd(None, {name: np.zeros(1)}, None, "x-0000.params")


def test_other_input_sizes_and_models(vgg, tmp_path):
    folder, _ = vgg
    small = tmp_path / "small"
    small.mkdir()
    for file in folder.iterdir():
        (small / file.name).symlink_to(file)
    (small / "hyperparams.json").unlink()
    (small / "hyperparams.json").write_text(json.dumps({"image_shape": "320", "num_classes": "3"}))
    with pytest.raises(WeightsError, match="it takes 320x320 pixels; the VGG-16 of the zoo takes 300x300 or 512x512"):
        convert(small, tmp_path / "new.params", mean=0, std=1)
    with pytest.raises(CallError, match="give mean= and std="):
        convert(folder, tmp_path / "new.params")
    with pytest.raises(CallError, match="becomes ssd_300_vgg16_atrous_custom, not ssd_512_vgg16_atrous_custom: leave out model="):
        convert(folder, tmp_path / "new.params", "ssd_512_vgg16_atrous_custom", mean=0, std=1)
    with pytest.raises(CallError, match="mean= and std= are for exported models of mxnet-ssd and SageMaker"):
        convert(tmp_path / "other.params", tmp_path / "new.params", "ssd_300_vgg16_atrous_custom", mean=0, std=1)
    assert not (tmp_path / "new.params").exists() and read_params(folder / "model_algo_1-0000.params")
