import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.formats.network_params import read_network_params
from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.starting_weights import load_for_classes
from ssdzoo.weights.matching import load_backbone
from ssdzoo.weights.published import locate
from ssdzoo.zoo import find_preset
from tests.networks import as_numpy, images, small_network
from tests.shared import shared_path
from tests.test_gluoncv_parity import gluoncv_network

mx = mxnet()


def values(net):
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


def test_anchors_come_with_the_file(tmp_path):
    voc = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", classes=["a", "b", "c"])
    voc.initialize(mx.init.Xavier())
    voc.save_parameters(str(tmp_path / "old.params"))
    custom = small_network()
    assert custom.anchor_generators[0].anchors.data()[0, 0, 0, 1, 0].asscalar() == pytest.approx(1.5 * 300 / 19)
    custom.load_parameters(str(tmp_path / "old.params"))
    assert custom.anchor_generators[0].anchors.data()[0, 0, 0, 1, 0].asscalar() == 12
    for a, b in zip(as_numpy(voc(images())), as_numpy(custom(images()))):
        np.testing.assert_array_equal(a, b)


def test_a_grown_grid_of_anchors_loads(tmp_path):
    net = small_network()
    net(mx.nd.zeros((1, 3, 64, 2400)))
    net.save_parameters(str(tmp_path / "grown.params"))
    other = small_network(seed=5)
    other.load_parameters(str(tmp_path / "grown.params"))
    assert other.anchor_generators[0].anchors.shape == (1, 1, 128, 150, 16)
    for a, b in zip(as_numpy(net(images())), as_numpy(other(images()))):
        np.testing.assert_array_equal(a, b)


def test_a_file_of_another_model_changes_nothing_and_names_the_difference(tmp_path):
    net = small_network()
    before = values(net)
    other = small_network(("a", "b", "c", "d"))
    other.save_parameters(str(tmp_path / "four.params"))
    with pytest.raises(WeightsError) as error:
        net.load_parameters(str(tmp_path / "four.params"))
    assert (
        "four.params: not of this model: parameter 'class_predictors.0.predictor.weight' is (20, 128, 3, 3) in the file, "
        in str(error.value)
    )
    assert "(16, 128, 3, 3) in the model" in str(error.value)
    for name, value in values(net).items():
        np.testing.assert_array_equal(value, before[name])


def test_missing_and_extra_parameters(tmp_path):
    net = small_network()
    net.save_parameters(str(tmp_path / "all.params"))
    arrays = mx.nd.load(str(tmp_path / "all.params"))
    name = "box_predictors.2.predictor.bias"
    mx.nd.save(str(tmp_path / "less.params"), {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(WeightsError, match=rf"parameter '{name}' \(24,\) is not in the file"):
        net.load_parameters(str(tmp_path / "less.params"))
    net.load_parameters(str(tmp_path / "less.params"), allow_missing=True)
    mx.nd.save(str(tmp_path / "more.params"), {**arrays, "head.weight": mx.nd.zeros((2, 3))})
    with pytest.raises(WeightsError, match=r"parameter 'head.weight' \(2, 3\) of the file has no place"):
        net.load_parameters(str(tmp_path / "more.params"))
    net.load_parameters(str(tmp_path / "more.params"), ignore_extra=True)


@pytest.mark.parametrize("reset", [False, True])
def test_files_of_a_network_with_a_prefix_or_inside_of_another_block(reset, tmp_path):
    """`save_params` takes one prefix off, and `reset_class` of GluonCV's repeats it."""
    theirs = gluoncv_network("ssd_300_mobilenet0.25_voc", prefix="mine_")
    x = images(1)
    theirs(x)
    if reset:
        theirs.reset_class(["cat", "dog"])
    theirs.hybridize()
    expected = as_numpy(theirs(x))
    wrapped = mx.gluon.nn.HybridSequential()
    wrapped.add(theirs)
    wrapped.save_parameters(str(tmp_path / "wrapped.params"))
    theirs.save_parameters(str(tmp_path / "paths.params"))
    theirs.collect_params().save(str(tmp_path / "flat.params"))
    theirs.collect_params().save(str(tmp_path / "stripped.params"), strip_prefix=theirs.prefix)
    theirs.export(str(tmp_path / "exported"))
    ours = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", classes=["cat", "dog"] if reset else None)
    for file in ("wrapped", "paths", "flat", "stripped", "exported-0000"):
        ours.load_parameters(str(tmp_path / f"{file}.params"))
        for a, b in zip(expected, as_numpy(ours(x)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_messages_name_parameters_as_the_file_does(tmp_path):
    other = gluoncv_network("ssd_512_resnet18_v1_voc")
    other(images(1, 128, 160))
    other.save_parameters(str(tmp_path / "other.params"))
    first = next(iter(mx.nd.load(str(tmp_path / "other.params"))))
    assert first.startswith("features.resnetv1") and first.endswith("_conv0_weight")
    with pytest.raises(WeightsError, match=rf"is not in the file, which begins with '{first}' \(64, 3, 7, 7\)"):
        small_network().load_parameters(str(tmp_path / "other.params"))


def test_heads_that_gluoncv_gives_a_lite_model(tmp_path):
    theirs = gluoncv_network("ssd_300_mobilenet1.0_lite_coco")
    theirs(images(1, 128, 160))
    theirs.reset_class(["cat", "dog"])
    theirs(images(1, 128, 160))
    theirs.save_parameters(str(tmp_path / "lite.params"))
    ours = ssdzoo.get_model("ssd_300_mobilenet1.0_lite_custom", classes=["cat", "dog"])
    with pytest.raises(WeightsError, match=r"\(9, 512, 3, 3\) in the file, .*: export it there, and name the exported model"):
        ours.load_parameters(str(tmp_path / "lite.params"))


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated"])
def test_files_that_are_no_parameters(damage, tmp_path):
    path = tmp_path / "x.params"
    net = small_network()
    net.save_parameters(str(path))
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "text": b"hello" * 100, "truncated": path.read_bytes()[:5000]}[damage])
    with pytest.raises(WeightsError, match="x.params: (no such file|not an MXNet parameter file)"):
        net.load_parameters(str(path))


def test_arrays_without_names(tmp_path):
    mx.nd.save(str(tmp_path / "list.params"), [mx.nd.zeros(3)])
    with pytest.raises(WeightsError, match="holds no named parameters"):
        read_network_params(tmp_path / "list.params")


def test_loading_onto_two_contexts(tmp_path):
    small_network().save_parameters(str(tmp_path / "x.params"))
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a", "b", "c"])
    net.load_parameters(str(tmp_path / "x.params"), ctx=[mx.cpu(0), mx.cpu(1)])
    weight = net.class_predictors[0].predictor.weight
    assert weight.list_ctx() == [mx.cpu(0), mx.cpu(1)]
    np.testing.assert_array_equal(weight.data(mx.cpu(0)).asnumpy(), weight.data(mx.cpu(1)).asnumpy())


@pytest.mark.parametrize("naming", ["paths", "flat"])
def test_backbone_weights(naming, tmp_path):
    mx.random.seed(7)
    classifier = mx.gluon.model_zoo.vision.mobilenet0_25()
    classifier.initialize(mx.init.Xavier())
    classifier(mx.nd.zeros((1, 3, 64, 64)))
    path = str(tmp_path / "base.params")
    classifier.save_parameters(path) if naming == "paths" else classifier.collect_params().save(path)
    net = small_network()
    net.features.backbone_parameters["features.0.weight"].set_data(mx.nd.zeros((8, 3, 3, 3)))
    load_backbone(net, path)
    expected = classifier.features[:-2](images(1)).asnumpy()
    np.testing.assert_allclose(net.features(images(1))[1].asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_backbone_weights_of_another_backbone(tmp_path):
    half = mx.gluon.model_zoo.vision.mobilenet0_5()
    half.initialize()
    half(mx.nd.zeros((1, 3, 64, 64)))
    half.save_parameters(str(tmp_path / "half.params"))
    with pytest.raises(WeightsError, match=r"'features.0.weight' is \(16, 3, 3, 3\) in the file, \(8, 3, 3, 3\) in the model"):
        load_backbone(small_network(), tmp_path / "half.params")
    small_network().save_parameters(str(tmp_path / "ssd.params"))
    with pytest.raises(WeightsError, match="not of this backbone"):
        load_backbone(ssdzoo.get_model("ssd_300_vgg16_atrous_voc"), tmp_path / "half.params")


def test_real_backbone_weights():
    path = shared_path("weights/mobilenet0.25-imagenet.params")
    net = small_network()
    load_backbone(net, path)
    stored = mx.nd.load(str(path))["features.0.weight"].asnumpy()
    np.testing.assert_array_equal(net.features.backbone_parameters["features.0.weight"].data().asnumpy(), stored)
    built = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", pretrained_base=str(path))
    np.testing.assert_array_equal(built.features.backbone_parameters["features.0.weight"].data().asnumpy(), stored)


def test_the_store(tmp_path):
    name = "ssd_300_mobilenet0.25_voc"
    with pytest.raises(WeightsError, match=rf"no weights of {name}:\n  {tmp_path}: no {name}-\*.params\n"):
        ssdzoo.get_model(name, pretrained=True, root=tmp_path)
    net = ssdzoo.get_model(name)
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(tmp_path / f"{name}-0a1b2c3d.params"))
    loaded = ssdzoo.get_model(name, pretrained=True, root=tmp_path)
    np.testing.assert_array_equal(
        values(loaded)["features.mobilenet0_conv0_weight"], values(net)["features.mobilenet0_conv0_weight"]
    )
    assert locate(name, "0a1b", tmp_path).path.name == f"{name}-0a1b2c3d.params"
    with pytest.raises(WeightsError, match="'ffff' is neither a file nor the hash of one"):
        locate(name, "ffff", tmp_path)
    fewer = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["person", "cup"], transfer="voc", root=tmp_path)
    assert fewer.classes == ["person", "cup"]
    np.testing.assert_array_equal(
        values(fewer)["class_predictors.0.predictor.bias"][1::3], values(net)["class_predictors.0.predictor.bias"][15::21]
    )


def test_rows_of_known_classes_are_kept(tmp_path):
    preset = find_preset("ssd_300_mobilenet0.25_custom")
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.toml").write_text(preset.with_classes(["a", "b", "c"]).to_toml())
    old = small_network()
    old.class_predictors[0].predictor.bias.set_data(mx.nd.arange(16))
    old.save_parameters(str(run / "best.params"))
    net, story = load_for_classes(preset.with_classes(["c", "x"]), run, mx.cpu())
    assert story == f"class weights kept from {run / 'best.params'}: c"
    assert net.class_predictors[0].predictor.bias.data().asnumpy()[1::3].tolist() == [3, 7, 11, 15]
    np.testing.assert_array_equal(
        values(net)["box_predictors.0.predictor.weight"], values(old)["box_predictors.0.predictor.weight"]
    )


def test_rows_of_unknown_classes(tmp_path):
    preset = find_preset("ssd_300_mobilenet0.25_custom")
    old = small_network()
    old.save_parameters(str(tmp_path / "old.params"))
    net, story = load_for_classes(preset.with_classes(["x", "y", "z"]), tmp_path / "old.params", mx.cpu())
    assert "does not name its 3 classes: taken to be x, y, z" in story
    np.testing.assert_array_equal(
        values(net)["class_predictors.0.predictor.weight"], values(old)["class_predictors.0.predictor.weight"]
    )
    _, story = load_for_classes(preset.with_classes(["x"]), tmp_path / "old.params", mx.cpu())
    assert story.endswith("none")


def test_backbone_weights_are_not_taken_for_a_whole_network(tmp_path):
    mx.nd.save(str(tmp_path / "base.params"), {"features.0.weight": mx.nd.zeros((8, 3, 3, 3))})
    with pytest.raises(WeightsError, match="for a backbone's file use base_weights="):
        load_for_classes(find_preset("ssd_300_mobilenet0.25_voc"), tmp_path / "base.params", mx.cpu())
