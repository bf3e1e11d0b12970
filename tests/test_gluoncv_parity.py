"""Every preset against GluonCV's, on random weights: the same numbers from the same file, in both directions."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

import ssdzoo
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.zoo import find_preset
from tests.networks import as_numpy

mx = mxnet()
presets = importlib.import_module(f"{gluoncv().__name__}.model_zoo.ssd.presets")

# GluonCV defines 24 float presets, one of which it forgot to register.
THEIRS = [n for n in ssdzoo.list_models() if hasattr(presets, n.replace(".", "_"))]
OTHER_SHAPES = {
    "ssd_300_vgg16_atrous_voc": (320, 480),
    "ssd_512_resnet18_v1_coco": (384, 512),
    "ssd_300_mobilenet0.25_voc": (200, 333),
}
# By default one of each architecture, smaller than it is where it can be; with -m long all, each at its own size too.
OWN = ("ssd_300_vgg16_atrous_voc", "ssd_300_resnet34_v1b_voc", "ssd_300_mobilenet0.25_custom")
SMALLER = {
    "ssd_512_resnet18_v1_voc": (128, 160), "ssd_512_resnet50_v1_coco": (128, 160), "ssd_512_resnet101_v2_voc": (128, 160),
    "ssd_512_mobilenet1.0_voc": (192, 256), "ssd_300_mobilenet1.0_lite_coco": (128, 160),
}  # fmt: skip


def cases():
    for name in THEIRS:
        quick = {SMALLER.get(name), (200, 333), find_preset(name).base_size if name.startswith(OWN) else None}
        for shape in (find_preset(name).base_size, OTHER_SHAPES.get(name), SMALLER.get(name)):
            if shape:
                marks = [] if shape in quick else [pytest.mark.long]
                yield pytest.param(name, shape, id=f"{name}-{shape[0]}x{shape[1]}", marks=marks)


def new_gluoncv_network(name, classes=("a", "b", "c"), **kwargs):
    kwargs = {"classes": list(classes), **kwargs} if name.endswith("custom") else kwargs
    return getattr(presets, name.replace(".", "_"))(pretrained=False, pretrained_base=False, **kwargs)


def gluoncv_network(name, classes=("a", "b", "c"), **kwargs):
    net = new_gluoncv_network(name, classes, **kwargs)
    for key, parameter in net.collect_params().items():
        if parameter.init is None and not key.endswith("weight"):  # Xavier refuses vectors
            parameter.init = "ones" if key.endswith(("gamma", "var")) else "zeros"
    net.initialize(mx.init.Xavier())
    return net


def our_network(name, classes=("a", "b", "c")):
    return ssdzoo.get_model(name, classes=list(classes) if name.endswith("custom") else None)


def test_all_presets_are_covered():
    assert len(THEIRS) == 24
    registered = [n for n in gluoncv().model_zoo.model_zoo._models if n.startswith("ssd_") and not n.endswith("_int8")]
    assert sorted(registered) == sorted(set(THEIRS) - {"ssd_512_resnet18_v1_custom"})


@pytest.mark.parametrize("name, shape", cases())
def test_same_numbers_from_the_same_file(name, shape, tmp_path):
    mx.random.seed(3)
    theirs, ours = gluoncv_network(name), our_network(name)
    x = mx.nd.random.normal(shape=(1, 3, *shape))
    found = as_numpy(theirs(x))
    theirs.save_parameters(str(tmp_path / "theirs.params"))
    ours.load_parameters(str(tmp_path / "theirs.params"))
    ours.hybridize()
    for a, b in zip(found, as_numpy(ours(x))):
        np.testing.assert_array_equal(a, b)
    assert (found[0] >= 0).sum() == 100
    with mx.autograd.predict_mode():
        heads = as_numpy(ours.head_outputs(x))
    with mx.autograd.train_mode():
        # GluonCV gives its heads in training mode only, where batch norm would use the batch: compare in one mode.
        logits, offsets, anchors = as_numpy(theirs(x))
        in_training = as_numpy(ours(x))
    for a, b in zip((logits, offsets), in_training):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()
    np.testing.assert_array_equal(anchors, in_training[2])
    np.testing.assert_array_equal(anchors, heads[2])
    ours.save_parameters(str(tmp_path / "ours.params"))
    theirs.load_parameters(str(tmp_path / "ours.params"))


@pytest.mark.parametrize("name", [n for n in THEIRS if not n.endswith("custom")])
def test_pinned_rows_have_the_anchors_of_gluoncv(name):
    theirs, ours = new_gluoncv_network(name), our_network(name)
    for a, b in zip(theirs.anchor_generators, ours.anchor_generators, strict=True):
        a.initialize()
        np.testing.assert_array_equal(a.anchors.data().asnumpy(), b.anchors.value.asnumpy())


def test_class_lists_are_those_of_gluoncv():
    for name in ("ssd_300_vgg16_atrous_voc", "ssd_300_vgg16_atrous_coco"):
        assert list(gluoncv_network(name).classes) == our_network(name).classes


@pytest.mark.parametrize("hybridize", [False, True])
def test_reset_class_keeps_the_rows_that_gluoncv_keeps(hybridize, tmp_path):
    theirs, ours = gluoncv_network("ssd_300_mobilenet0.25_voc"), our_network("ssd_300_mobilenet0.25_voc")
    x = mx.nd.random.normal(shape=(1, 3, 128, 128))
    theirs(x)
    theirs.save_parameters(str(tmp_path / "voc.params"))
    ours.load_parameters(str(tmp_path / "voc.params"))
    if hybridize:
        ours.hybridize()
        ours(x)
    for net in (theirs, ours):
        net.reset_class(["person", "dog"], reuse_weights=["person", "dog"])
    for a, b in zip(as_numpy(theirs(x)), as_numpy(ours(x))):
        np.testing.assert_array_equal(a, b)


def test_files_of_another_counter_and_flat_names_load(tmp_path):
    theirs, ours = gluoncv_network("ssd_512_resnet18_v1_voc"), our_network("ssd_512_resnet18_v1_voc")
    theirs(mx.nd.zeros((1, 3, 128, 128)))
    theirs.save_parameters(str(tmp_path / "a.params"))
    arrays = mx.nd.load(str(tmp_path / "a.params"))
    counted = {k.replace("resnetv10_", "resnetv17_"): v for k, v in arrays.items()}
    assert set(counted) != set(arrays)
    mx.nd.save(str(tmp_path / "counted.params"), counted)
    theirs.collect_params().save(str(tmp_path / "flat.params"))
    theirs.hybridize()
    x = mx.nd.random.normal(shape=(1, 3, 128, 128))
    expected = as_numpy(theirs(x))
    theirs.export(str(tmp_path / "exported"))
    for file in ("counted.params", "flat.params", "exported-0000.params"):
        ours.load_parameters(str(tmp_path / file))
        for a, b in zip(expected, as_numpy(ours(x))):
            np.testing.assert_array_equal(a, b)


def test_our_file_loads_into_gluoncv_whatever_was_built_before(tmp_path):
    """The counters in the names of the two networks differ."""
    get_model, x = gluoncv().model_zoo.get_model, mx.nd.random.normal(shape=(1, 3, 128, 128))
    for name in ("ssd_512_resnet18_v1_voc", "ssd_300_mobilenet0.25_voc"):
        ours, theirs = our_network(name), get_model(name, pretrained_base=False)
        assert not set(ours.collect_params()) & set(theirs.collect_params())
        ours.initialize(mx.init.Xavier())
        ours.save_parameters(str(tmp_path / "x.params"))
        theirs.load_parameters(str(tmp_path / "x.params"))
        for a, b in zip(as_numpy(ours(x)), as_numpy(theirs(x)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_our_file_loads_into_gluoncv_in_a_new_process(tmp_path):
    """Where other networks come first on both sides."""
    code = f"""
import ssdzoo, mxnet as mx, numpy as np
get_model = ssdzoo.runtime.gluoncv().model_zoo.get_model
names = ["ssd_512_resnet18_v1_voc", "ssd_300_mobilenet0.25_voc"]
for name in names + names:
    ssdzoo.get_model(name)
    get_model(name, pretrained_base=False)
    ours = ssdzoo.get_model(name)
    ours.initialize(mx.init.Xavier())
    ours.save_parameters({str(tmp_path / "x.params")!r})
    theirs = get_model(name, pretrained_base=False)
    theirs.load_parameters({str(tmp_path / "x.params")!r})
    x = mx.nd.random.normal(shape=(1, 3, 128, 128))
    assert all(np.array_equal(a.asnumpy(), b.asnumpy()) for a, b in zip(ours(x), theirs(x))), name
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
