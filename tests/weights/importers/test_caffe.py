import cv2
import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.preset import read_preset
from ssdzoo.weights.importers.caffe import read_caffe
from tests.weights.importers.caffe_files import CELLS, mobilenet_ssd, vgg_ssd
from tests.weights.importers.caffe_priors import prior_corners
from tests.weights.outputs import pixels, raw_outputs


def original(model, prototxt, x):
    """Logits (N, outputs), offsets (N, 4) and prior boxes (N, 4), xyxy, 0..1, by OpenCV."""
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(model))
    net.enableWinograd(False)  # it rounds more
    net.setInput(x)
    logits, offsets, priors = net.forward(["mbox_conf_reshape", "mbox_loc", "mbox_priorbox"])
    return logits[0], offsets.reshape(-1, 4), priors.reshape(2, -1, 4)[0]


def caffe_input(image, mean, scale=1.0):
    """RGB (3, H, W) to BGR less its mean, (1, 3, H, W)."""
    return ((image[::-1] - np.reshape(mean, (3, 1, 1))) * scale).astype(np.float32)[None]


def check(got, expected, priors, cells, size):
    """Compares logits, offsets and anchors; `priors` are the parameters of the PriorBox layers, from `Model.priors`."""
    assert 1 < got[0].std() < 4 and 1 < got[1].std() < 4
    np.testing.assert_allclose(got[0], expected[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(got[1], expected[1], rtol=0, atol=1e-4)
    corners = np.array([box for prior, c in zip(priors, cells, strict=True) for box in prior_corners(prior, c, size)])
    xmin, ymin, xmax, ymax = corners.T * size
    anchors = np.stack([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin], 1)
    np.testing.assert_allclose(got[2], anchors, rtol=2**-24, atol=1e-12)  # rounded to float32 once
    # OpenCV rounds each corner to float32, about 3e-5 pixels at 512. So its corners are compared, not what two of them give:
    # their difference, a width, has the error of both.
    np.testing.assert_allclose(expected[2] * size, corners * size, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "size, outputs, clip",
    [
        (300, 21, False),
        pytest.param(300, 81, True, marks=pytest.mark.long),
        pytest.param(512, 21, False, marks=pytest.mark.long),
    ],
)
def test_ssd_on_vgg(size, outputs, clip, tmp_path):
    model = vgg_ssd(size, outputs, clip, seed=size)
    files = model.save(tmp_path)
    converted = read_caffe(files[0])
    params, table = converted.save(tmp_path / "new.params")
    image = pixels(size, seed=2)
    expected = original(*files, caffe_input(image, (104, 117, 123)))
    check(raw_outputs(params, table, image), expected, model.priors, CELLS[size], size)
    assert converted.origin == f"Caffe SSD{size}" and len(converted.preset.classes) == outputs - 1
    assert read_preset(table).name == f"ssd_{size}_vgg16_atrous_{'voc' if outputs == 21 else 'coco'}"
    first = converted.arrays["anchor_generators.0.anchors"][0, 0, 1, 2, :4]
    if not clip:
        np.testing.assert_allclose(first, [20, 12, 30, 30] if size == 300 else [20, 12, 35.84, 35.84], atol=1e-4)
    # The preset of the same architecture takes pixels of another range: 58 times as large.
    with pytest.raises(WeightsError, match=r"new.params: is for pixels divided by a std of \[0.00392, 0.00392, 0.00392\], "
                                           r"ssd_\d+_vgg16_atrous_\w+ divides by .* name the table \(.toml\)"):  # fmt: skip
        ssdzoo.get_model(read_preset(table).name, pretrained=str(params))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_mobilenet_ssd(batch_norm, tmp_path):
    model = mobilenet_ssd(batch_norm)
    files = model.save(tmp_path)
    params, table = read_caffe(*files).save(tmp_path / "new.params")
    image = pixels(300, seed=3)
    expected = original(*files, caffe_input(image, (127.5,) * 3, 1 / 127.5))
    assert len(expected[0]) == 1917
    check(raw_outputs(params, table, image), expected, model.priors, (19, 10, 5, 3, 2, 1), 300)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return mobilenet_ssd(False).save(tmp_path_factory.mktemp("caffe"))


def test_the_layers_are_looked_for_beside_the_weights(files, tmp_path):
    model = tmp_path / "some.caffemodel"
    model.write_bytes(files[0].read_bytes())
    with pytest.raises(
        WeightsError, match="put its layers beside it, as some.prototxt or deploy.prototxt; there is no .prototxt"
    ):
        read_caffe(model)
    for name in ("train.prototxt", "test.prototxt"):
        (tmp_path / name).write_text("no layers")
    with pytest.raises(WeightsError, match="or deploy.prototxt; there are 2 other .prototxt files"):
        read_caffe(model)
    (tmp_path / "deploy.prototxt").write_text(files[1].read_text())
    assert read_caffe(model).origin == "Caffe MobileNet-SSD"
    with pytest.raises(WeightsError, match="gone.caffemodel: no such file"):
        read_caffe(tmp_path / "gone.caffemodel", files[1])


def test_other_classes(files):
    assert read_caffe(*files, classes=[f"c{i}" for i in range(20)]).preset.classes[0] == "c0"
    with pytest.raises(CallError, match="net.caffemodel: Caffe MobileNet-SSD of 20 classes, but 1 names are given"):
        read_caffe(*files, classes=["a"])


@pytest.mark.parametrize(
    "damage, message",
    [
        ("cut", "net.caffemodel: not a Caffe model, or damaged: field 100 has"),
        ("text", "net.caffemodel: not a Caffe model, or damaged"),
        ("empty", "net.caffemodel: a Caffe model without weights"),
        ("prototxt", "net.prototxt: not a .prototxt: "),
        ("stride", r"its prior boxes cannot be computed \(stride is 0; expected 1 to 4096\)"),
        ("ratios", r"its prior boxes cannot be computed \(layer 'conv11_mbox_priorbox' has impossible sizes or ratios\)"),
        ("kernel", "makes a feature map without rows of one with 300"),
        ("other", "net.prototxt: neither weiliu89's SSD on VGG-16 .* nor chuanqi305's MobileNet-SSD"),
        ("variance", "conv11_mbox_priorbox: not 3 prior boxes per grid cell with the variances 0.1, 0.1, 0.2, 0.2"),
        ("renamed", r"Caffe MobileNet-SSD without 'conv5.weight' \(256, 256, 1, 1\)"),
    ],
)
def test_damaged_and_other_files(damage, message, files, tmp_path):
    content, text = files[0].read_bytes(), files[1].read_text()
    if damage == "cut":
        content = content[: 10**6]
    elif damage == "text":
        content = b"hello" * 1000
    elif damage == "empty":
        content = b""
    elif damage == "prototxt":
        text = text[: len(text) // 2]
    elif damage == "other":
        text = "\n".join(text.splitlines()[:5])
    elif damage in ("stride", "kernel"):
        text = (
            text.replace("stride: 2", "stride: 0") if damage == "stride" else text.replace("kernel_size: 3", "kernel_size: 400")
        )
    elif damage == "ratios":
        text = text.replace("aspect_ratio: 2", "aspect_ratio: -2")
    elif damage == "variance":
        text = text.replace("variance: 0.2", "variance: 0.3")
    else:
        text = text.replace('name: "conv5"', 'name: "conv5x"')
    (tmp_path / "net.caffemodel").write_bytes(content)
    (tmp_path / "net.prototxt").write_text(text)
    with pytest.raises(WeightsError, match=message):
        read_caffe(tmp_path / "net.caffemodel")
