import numpy as np
import pytest

import ssdzoo
from ssdzoo.convert import convert
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.preset import read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.weights import read_params, write_params
from ssdzoo.zoo import find_preset
from tests.networks import as_numpy, images, small_network
from tests.test_gluoncv_parity import gluoncv_network

mx = mxnet()


@pytest.fixture(scope="module")
def gluoncv_files(tmp_path_factory):
    """One network of GluonCV's in every naming it ever wrote, with another number of classes than it was built with."""
    folder = tmp_path_factory.mktemp("gluoncv")
    net = gluoncv_network("ssd_512_resnet18_v1_voc")
    net.hybridize()
    x = images(1, 128, 160)
    net(x)
    net.reset_class(["x", "y", "z"])
    answer = as_numpy(net(x))
    net.export(str(folder / "exported"))
    net.save_parameters(str(folder / "paths.params"))
    net.collect_params().save(str(folder / "flat.params"))
    net.collect_params().save(str(folder / "stripped.params"), strip_prefix=net.prefix)  # what save_params did
    counted = {k.replace("resnetv10_", "resnetv17_"): a for k, a in read_params(folder / "paths.params").items()}
    write_params(folder / "counted.params", counted)
    return folder, x, answer


@pytest.mark.parametrize("file", ["paths", "counted", "flat", "stripped", "exported-0000"])
def test_every_naming_becomes_the_same_file(file, gluoncv_files, tmp_path):
    folder, x, answer = gluoncv_files
    source, target = folder / f"{file}.params", tmp_path / "new.params"
    done = convert(source, target, "ssd_512_resnet18_v1_custom", ["x", "y", "z"])
    assert target.read_bytes() == (folder / "paths.params").read_bytes()
    assert (done.parameters, done.cast, done.notes) == (170, 0, [])
    # In the counted file the names of the backbone alone are others.
    assert done.renamed == {"paths": 0, "counted": 100}.get(file, 170)
    assert read_preset(done.sidecar).classes == ("x", "y", "z")
    net = ssdzoo.get_model("ssd_512_resnet18_v1_custom", classes=["x", "y", "z"])
    net.load_parameters(str(source))
    for a, b in zip(answer, as_numpy(net(x))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ssd_300_vgg16_atrous_voc", marks=pytest.mark.long),
        pytest.param("ssd_300_resnet34_v1b_coco", marks=pytest.mark.long),
        "ssd_300_mobilenet1.0_lite_coco",
    ],
)
def test_other_backbones(name, tmp_path):
    net = gluoncv_network(name)
    net(mx.nd.zeros((1, 3, 300, 300)))
    net.save_parameters(str(tmp_path / "paths.params"))
    net.collect_params().save(str(tmp_path / "flat.params"))
    done = convert(tmp_path / "flat.params", tmp_path / "new.params", name)
    assert done.target.read_bytes() == (tmp_path / "paths.params").read_bytes()
    assert done.classes == list(find_preset(name).classes)


def test_a_converted_file_is_a_model(tmp_path):
    old = small_network()
    old.save_parameters(str(tmp_path / "old.params"))
    convert(tmp_path / "old.params", tmp_path / "new.params", "ssd_300_mobilenet0.25_custom", ["a", "b", "c"])
    detector = ssdzoo.load(tmp_path / "new.params")
    assert detector.names == ["a", "b", "c"]
    for a, b in zip(as_numpy(old(images())), as_numpy(detector.backend._net(images()))):
        np.testing.assert_array_equal(a, b)


def test_classes(tmp_path):
    old, model = tmp_path / "old.params", "ssd_300_mobilenet0.25_custom"
    small_network().save_parameters(str(old))
    done = convert(old, tmp_path / "1.params", model)
    assert done.classes == ["class 0", "class 1", "class 2"] and "name them with classes=" in done.notes[0]
    convert(old, tmp_path / "2.params", model, ["u", "v", "w"])
    assert convert(tmp_path / "2.params", tmp_path / "3.params", model).classes == ["u", "v", "w"]
    with pytest.raises(CallError, match=r"old\.params holds 3 classes, classes= names 2"):
        convert(old, tmp_path / "4.params", model, ["u", "v"])
    with pytest.raises(CallError, match=r"old\.params holds 3 classes, ssd_300_mobilenet0\.25_voc has 20"):
        convert(old, tmp_path / "4.params", "ssd_300_mobilenet0.25_voc")
    done = convert(old, tmp_path / "4.params", "ssd_300_mobilenet0.25_voc", ["u", "v", "w"])
    assert read_preset(done.sidecar).steps == (8, 16, 32, 64, 100, 300)


def test_half_precision_is_cast(tmp_path):
    small_network().save_parameters(str(tmp_path / "old.params"))
    halves = {name: array.astype(np.float16) for name, array in read_params(tmp_path / "old.params").items()}
    write_params(tmp_path / "half.params", halves)
    done = convert(tmp_path / "half.params", tmp_path / "new.params", "ssd_300_mobilenet0.25_custom")
    assert done.cast == done.parameters == len(halves)
    for name, array in read_params(tmp_path / "new.params").items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, halves[name].astype(np.float32))


def test_nothing_is_overwritten_and_wrong_files_leave_nothing(tmp_path):
    old, new, model = tmp_path / "old.params", tmp_path / "new.params", "ssd_300_mobilenet0.25_custom"
    small_network().save_parameters(str(old))
    new.write_text("mine")
    with pytest.raises(CallError, match=r"new\.params is there already: .* force="):
        convert(old, new, model)
    assert new.read_text() == "mine"
    assert convert(old, new, model, force=True).parameters == 205
    with pytest.raises(CallError, match="is the file to convert"):
        convert(old, old, model, force=True)
    with pytest.raises(CallError, match=r"must end in \.params"):
        convert(old, tmp_path / "new.npz", model)
    with pytest.raises(WeightsError, match="not of this model"):
        convert(old, tmp_path / "vgg.params", "ssd_300_vgg16_atrous_custom")
    old.write_bytes(old.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"old\.params: .*truncated"):
        convert(old, tmp_path / "cut.params", model)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.params", "new.toml", "old.params"]


@pytest.mark.parametrize(
    "start, name, message",
    [
        (b"PK\x03\x04 no archive", "x.zip", "x.zip: a zip archive: unpack it first"),
        (b"\x40\0\0\0\0\0\0\0{\"a\": 1}", "x.bin", "x.bin: not a .safetensors file"),
        (b"\x0a\x05layer", "x.caffemodel", "x.caffemodel: a Caffe model without weights"),
        (b"\x89HDF\r\n\x1a\n", "x.weights", "x.weights: an HDF5 file"),
        (b"hello", "x.weights", "x.weights: not an MXNet parameter file"),
    ],
)  # fmt: skip
def test_files_of_other_kinds_are_told_apart(start, name, message, tmp_path):
    (tmp_path / name).write_bytes(start)
    with pytest.raises(WeightsError, match=message):
        convert(tmp_path / name, tmp_path / "new.params", "ssd_300_mobilenet0.25_custom")


def test_two_networks_in_one_file(tmp_path):
    small_network().save_parameters(str(tmp_path / "one.params"))
    arrays = read_params(tmp_path / "one.params")
    twice = {**arrays, **{name.replace("mobilenet0_", "mobilenet3_"): array for name, array in arrays.items()}}
    write_params(tmp_path / "two.params", twice)
    with pytest.raises(WeightsError, match="two networks: both 'features.mobilenet0_conv0_weight' and 'features.mobilenet3_"):
        convert(tmp_path / "two.params", tmp_path / "new.params", "ssd_300_mobilenet0.25_custom")


def test_a_file_of_another_framework_becomes_a_detector(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    from tests.weights.importers.torch_networks import TorchvisionSSD300

    torch.manual_seed(0)
    torch.save(TorchvisionSSD300().state_dict(), tmp_path / "x.pth")
    done = convert(tmp_path / "x.pth", tmp_path / "x.params")
    assert done.model == "ssd_300_vgg16_atrous_coco" and done.parameters == len(read_params(tmp_path / "x.params")) > 70
    assert read_preset(done.sidecar).std == pytest.approx((1 / 255,) * 3) and done.notes
    with pytest.raises(CallError, match="becomes ssd_300_vgg16_atrous_coco, not ssd_512_vgg16_atrous_coco"):
        convert(tmp_path / "x.pth", tmp_path / "y.params", "ssd_512_vgg16_atrous_coco")


def test_a_parameter_file_needs_its_model(tmp_path):
    small_network().save_parameters(str(tmp_path / "one.params"))
    with pytest.raises(CallError, match="does not say which model it is of: name it with model="):
        convert(tmp_path / "one.params", tmp_path / "new.params")
