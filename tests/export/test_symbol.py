import re
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.export.symbol import export_model
from ssdzoo.model_source import resolve
from ssdzoo.predict.backends.mxnet import symbol_block
from ssdzoo.preset import read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset
from tests.networks import as_numpy, images, small_network

mx = mxnet()


@pytest.fixture
def exported(tmp_path):
    net = small_network()
    preset = find_preset("ssd_300_mobilenet0.25_custom").with_classes(net.classes)
    return net, export_model(net, preset, tmp_path)


def test_the_three_files(exported):
    _, path = exported
    constants = re.findall(r'"__init__": "Constant_(.*)"', Path(f"{path}-symbol.json").read_text())
    assert constants and all(re.fullmatch(r"ssd\d+_ssdanchorgenerator\d+_anchor_\d", name) for name in constants)  # no address
    assert sorted(p.name for p in path.parent.iterdir()) == [f"{path.name}{s}" for s in ("-0000.params", "-symbol.json", ".toml")]
    assert read_preset(f"{path}.toml").classes == ("a", "b", "c")


@pytest.mark.parametrize("batch", [1, 4])
def test_symbol_block_and_module_answer_the_same(batch, exported):
    net, path = exported
    x = images(batch, 300, 300)
    expected = as_numpy(net(x))
    block = mx.gluon.SymbolBlock.imports(f"{path}-symbol.json", ["data"], f"{path}-0000.params", ctx=mx.cpu())
    for a, b in zip(expected, as_numpy(block(x))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)
    module = mx.mod.Module.load(str(path), 0, label_names=None, context=mx.cpu())
    module.bind(for_training=False, data_shapes=[("data", x.shape)])
    module.forward(namedtuple("Batch", ["data"])([x]))
    for a, b in zip(expected, as_numpy(module.get_outputs())):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


def test_raw_heads(exported, tmp_path):
    net, _ = exported
    net.hybridize()
    net.export(str(tmp_path / "raw"), epoch=7, heads=True)
    block = mx.gluon.SymbolBlock.imports(str(tmp_path / "raw-symbol.json"), ["data"], str(tmp_path / "raw-0007.params"))
    for a, b in zip(as_numpy(net.head_outputs(images())), as_numpy(block(images()))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["ssd_300_resnet34_v1b_voc", pytest.param("ssd_300_vgg16_atrous_voc", marks=pytest.mark.long)])
def test_other_backbones(name, tmp_path):
    net = ssdzoo.get_model(name)
    net.initialize(mx.init.Xavier())
    net.export(str(tmp_path / "net"))
    block = symbol_block(resolve(tmp_path / "net"))
    x = images(1, 300, 300)
    for a, b in zip(as_numpy(net(x)), as_numpy(block(x))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


def test_a_network_without_weights(tmp_path):
    with pytest.raises(CallError, match="parameter '.*' has no value"):
        ssdzoo.get_model("ssd_300_mobilenet0.25_voc").export(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_pair(exported):
    _, path = exported
    params = path.with_name(f"{path.name}-0000.params")
    params.write_bytes(params.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"custom-0000\.params: .*damaged one: byte 16: the header says 205 arrays"):
        ssdzoo.load(path.parent)
