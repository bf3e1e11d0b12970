from dataclasses import replace

import numpy as np
import pytest

import ssdzoo
from ssdzoo import build, zoo
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset, read_tables

mx = mxnet()


def test_names():
    names = ssdzoo.list_models()
    assert len(names) == 49 and names == sorted(names)
    assert ssdzoo.list_models("*mobilenet*") == [
        "ssd_300_mobilenet0.25_coco", "ssd_300_mobilenet0.25_custom", "ssd_300_mobilenet0.25_s8_custom",
        "ssd_300_mobilenet0.25_voc", "ssd_300_mobilenet0.5_custom", "ssd_300_mobilenet0.5_s8_custom",
        "ssd_300_mobilenet1.0_lite_coco", "ssd_300_mobilenet1.0_lite_custom", "ssd_300_mobilenet1.0_s8_custom",
        "ssd_320_mobilenetv2_1.0_lite_custom", "ssd_320x512_mobilenet1.0_s8_custom",
        "ssd_512_mobilenet0.25_s8_custom", "ssd_512_mobilenet0.5_s8_custom",
        "ssd_512_mobilenet1.0_coco", "ssd_512_mobilenet1.0_custom", "ssd_512_mobilenet1.0_s8_custom",
        "ssd_512_mobilenet1.0_voc",
    ]  # fmt: skip
    assert ssdzoo.list_models("no such thing") == []


def test_every_published_model_has_a_custom_sibling():
    names = set(ssdzoo.list_models())
    assert {n.rsplit("_", 1)[0] + "_custom" for n in names} <= names


@pytest.mark.parametrize("name", ["ssd_512_mobilenet1_0_voc", "SSD_512_MobileNet1.0_VOC"])
def test_old_spellings(name):
    assert find_preset(name).name == "ssd_512_mobilenet1.0_voc"


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(CallError, match="no model 'ssd_300_vgg16_atrous_vco'; do you mean 'ssd_300_vgg16_atrous_voc'"):
        ssdzoo.get_model("ssd_300_vgg16_atrous_vco")
    with pytest.raises(CallError, match="`ssdzoo models` lists them"):
        ssdzoo.get_model("yolo")


def test_a_custom_model_needs_classes():
    with pytest.raises(CallError, match="needs classes="):
        ssdzoo.get_model("ssd_300_vgg16_atrous_custom")


@pytest.mark.parametrize("arguments, message", [
    ({"classes": 2}, r"classes=2: expected the names of the classes, such as \['cat', 'dog'\], not their number"),
    ({"classes": [1, 2]}, r"classes=\[1, 2\]: expected different names"),
    ({"ctx": ["cat", "dog"]}, r"ctx=\['cat', 'dog'\]: .* the names of classes are given as classes=\['cat', 'dog'\]"),
    ({"ctx": ["cat", "dog"], "classes": ["a"]}, "the names of classes are given as"),
    ({"ctx": "gpu", "classes": ["a"]}, r"ctx='gpu': expected a context of mxnet, such as mx.gpu\(0\), or a list of them$"),
    ({"ctx": [], "classes": ["a"]}, r"ctx=\[\]: expected a context"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["ssd_300_mobilenet0.25_custom", "ssd_300_mobilenet0.25_voc"])
def test_classes_that_are_no_names(name, arguments, message):
    with pytest.raises(CallError, match=message):
        ssdzoo.get_model(name, **{"pretrained": True, **arguments})
    parts = dict(name="resnet18_v1", base_size=64, features=["stage4_activation1"], filters=[8], sizes=[10, 20, 30],
                 ratios=[[1], [1]], steps=None)  # fmt: skip
    with pytest.raises(CallError, match=message):
        ssdzoo.get_ssd(**parts, **{"classes": ["a"], **arguments})


def test_other_classes_for_a_published_architecture():
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", classes=["cat", "dog", "cup"])
    assert net.classes == ["cat", "dog", "cup"]
    assert net.class_predictors[0].predictor.weight.shape[0] == 4 * 4


def test_pretrained_on_a_custom_model_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="no published weights"):
        ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a"], pretrained=True)


def test_get_ssd_refuses_weights_for_another_input_scale_as_get_model_does(tmp_path):
    """Pixels divided by 255 alone, as of a converted Caffe model, are 58 times as small as those that a VGG scales back."""
    preset = find_preset("ssd_300_vgg16_atrous_voc").with_classes(["a"])
    net = ssdzoo.get_model(preset)
    net.initialize()
    net.features.init_scale.set_data(mx.nd.ones((1, 3, 1, 1)))
    path = tmp_path / "net.params"
    net.save_parameters(str(path))
    message = "net.params: is for pixels divided by a std of .*0.00392.*divides by .*name the table"
    with pytest.raises(WeightsError, match=message):
        ssdzoo.get_model(preset, pretrained=path)
    with pytest.raises(WeightsError, match=message):
        ssdzoo.get_ssd(**preset.network_args, classes=["a"], pretrained=path)
    assert ssdzoo.get_model(replace(preset, std=(1 / 255,) * 3), pretrained=path).classes == ["a"]


class Convolution(mx.gluon.nn.HybridBlock):
    """As much of a VGG SSD as has to do with the normalization of its input."""

    def __init__(self, scale):
        super().__init__()
        self.init_scale = self.params.get_constant("init_scale", mx.nd.array(np.reshape(scale, (1, 3, 1, 1))))
        self.stages = mx.gluon.nn.HybridSequential()
        self.stages.add(mx.gluon.nn.HybridSequential())
        self.stages[0].add(mx.gluon.nn.Conv2D(4, 3, padding=1, in_channels=3))

    @property
    def features(self):
        return self

    def hybrid_forward(self, F, x, init_scale):
        return self.stages(F.broadcast_mul(x, init_scale))


def test_weights_of_another_project_take_the_pixels_of_the_preset():
    """Equal where the kernel covers no padding; there the zeros stand for another mean."""
    theirs = replace(find_preset("ssd_300_vgg16_atrous_coco"), mean=(0.48235, 0.45882, 0.40784), std=(1 / 255,) * 3)
    net, image = Convolution([1, 1, 1]), np.random.default_rng(0).uniform(size=(1, 3, 8, 9))

    def outputs(mean, std):
        x = (image - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
        return net(mx.nd.array(x)).asnumpy()

    net.initialize(mx.init.Xavier())
    expected = outputs(theirs.mean, theirs.std)
    build._normalize_as(net, theirs, IMAGENET_MEAN, IMAGENET_STD)
    found = outputs(IMAGENET_MEAN, IMAGENET_STD)
    np.testing.assert_allclose(net.init_scale.data().asnumpy().ravel(), 255 * np.array(IMAGENET_STD), rtol=1e-6)
    np.testing.assert_allclose(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4)
    assert 0.01 < abs(found - expected).max() < 2 and expected.std() > 10


def test_a_checkout_beside_an_installed_copy_finds_its_tables(monkeypatch):
    before = ssdzoo.list_models()

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(zoo.resources, "files", missing)
    zoo._zoo.cache_clear()
    assert ssdzoo.list_models() == before and len(before) > 40


def test_a_users_table(tmp_path):
    path = tmp_path / "my_preset.toml"
    path.write_text(
        'backbone = "mobilenet0.25"\nbase_size = [96, 160]\nfeatures = ["relu10_fwd", "relu26_fwd"]\nfilters = [64]\n'
        "sizes = [20, 40, 80, 160]\nratios = [[1, 2], [1, 2, 0.5], [1]]\n"
    )
    assert find_preset(path).name == "my_preset"
    net = ssdzoo.get_model(path, classes=["a"])
    assert net.map_sizes(96, 160) == [(12, 20), (3, 5), (2, 3)]
    assert [g.num_depth for g in net.anchor_generators] == [3, 4, 2]


def test_a_wrong_preset_in_a_folder_of_tables(tmp_path):
    (tmp_path / "classes.toml").write_text('voc = ["a"]')
    text = '[ssd_9]\nbackbone = "x"\nbase_size = 9\nratios = [[1]]\n[ssd_9.voc]\nsizes = [1, 2]\n'
    (tmp_path / "good.toml").write_text(text)
    assert list(read_tables(tmp_path)) == ["ssd_9_voc"]
    (tmp_path / "twice.toml").write_text(text)
    with pytest.raises(CallError, match=r"twice.toml, preset \[ssd_9.voc\]: 'ssd_9_voc' is there twice"):
        read_tables(tmp_path)
    (tmp_path / "twice.toml").write_text(text.replace("ssd_9", "ssd_8").replace("[1, 2]", "[1]"))
    with pytest.raises(CallError, match=r"twice.toml, preset \[ssd_8.voc\]: field 'sizes'"):
        read_tables(tmp_path)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(CallError, match="missing.toml: cannot be read"):
        find_preset(tmp_path / "missing.toml")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.toml").write_text("")
    with pytest.raises(CallError, match="run is a run folder, and a preset is asked for here: name its table, .*run/model.toml$"):
        find_preset(tmp_path / "run")
    (tmp_path / "bad.toml").write_text("sizes = [1,")
    with pytest.raises(CallError, match="bad.toml: not a TOML file"):
        find_preset(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CallError, match="binary.toml: cannot be read"):
        find_preset(tmp_path / "binary.toml")


@pytest.mark.parametrize("name", ["ssd_300_vgg16_atrous_voc_int8", "ssd_512_mobilenet1_0_voc_int8"])
def test_int8_names_of_gluoncv_point_to_quantize(name):
    with pytest.raises(CallError, match=f"no model '{name}': `ssdzoo quantize` makes an int8 model of ssd_"):
        find_preset(name)
