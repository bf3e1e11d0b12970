from itertools import product

import numpy as np
import pytest

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.preset import read_preset
from ssdzoo.weights.importers import read_detector
from tests.weights.outputs import pixels, raw_outputs, write_safetensors

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
from tests.weights.importers.torch_networks import SSDPytorch, TorchvisionSSD300, randomized, run  # noqa: E402

SIZES = {"voc": (30, 60, 111, 162, 213, 264, 315), "coco": (21, 45, 99, 153, 207, 261, 315)}


def slow_anchors(sizes, clip_centers):
    rows = []
    for k, (cells, step, ratios) in enumerate(
        zip((38, 19, 10, 5, 3, 1), (8, 16, 32, 64, 100, 300), ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)))
    ):
        for i, j in product(range(cells), repeat=2):
            cx, cy = (j + 0.5) * step / 300, (i + 0.5) * step / 300
            shapes = [(sizes[k], sizes[k]), ((sizes[k] * sizes[k + 1]) ** 0.5,) * 2]
            for ratio in ratios:
                shapes += [(sizes[k] * ratio**0.5, sizes[k] / ratio**0.5), (sizes[k] / ratio**0.5, sizes[k] * ratio**0.5)]
            if clip_centers:
                cx, cy = min(cx, 1), min(cy, 1)
            rows += [(cx, cy, min(w / 300, 1), min(h / 300, 1)) for w, h in shapes]
    return np.array(rows) * 300


@pytest.fixture(scope="module")
def ssd_pytorch(tmp_path_factory):
    net = SSDPytorch()
    randomized(net, net.vgg[0], pixels=70)
    path = tmp_path_factory.mktemp("ssd_pytorch") / "ssd300.pth"
    torch.save(net.state_dict(), path)
    return net, path


def test_ssd_pytorch(ssd_pytorch, tmp_path):
    net, path = ssd_pytorch
    image = pixels(300)
    expected = run(net, (image - np.array([123, 117, 104], np.float32).reshape(3, 1, 1))[None])
    logits, offsets, anchors = raw_outputs(*read_detector(path).save(tmp_path / "voc.params"), image)
    assert 1 < logits.std() < 3 and 1 < offsets.std() < 3 and abs(logits).max() > 8
    np.testing.assert_allclose(logits, expected[0][0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(offsets, expected[1][0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(anchors, slow_anchors(SIZES["voc"], clip_centers=True), rtol=1e-6)


def test_torchvision(tmp_path):
    net = TorchvisionSSD300()
    randomized(net, net.backbone.features[0], pixels=70, seed=1)
    write_safetensors(tmp_path / "coco.safetensors", {k: v.numpy() for k, v in net.state_dict().items()})
    image = pixels(300, seed=1)
    mean = np.array([0.48235, 0.45882, 0.40784], np.float32).reshape(3, 1, 1)
    expected = run(net, ((image / 255 - mean) / np.float32(1 / 255))[None])
    converted = read_detector(tmp_path / "coco.safetensors")
    params, table = converted.save(tmp_path / "new" / "coco.params")
    logits, offsets, anchors = raw_outputs(params, table, image)
    assert 1 < logits.std() < 3 and abs(logits).max() > 8
    # Slot 12 (street sign) stands for no class: truck is 8, boat 9, fire hydrant 11, stop sign 13, toothbrush 90.
    names = ["background", *read_preset(table).classes]
    slots = {"background": 0, "person": 1, "boat": 9, "fire hydrant": 11, "stop sign": 13, "toothbrush": 90}
    for name, slot in slots.items():
        np.testing.assert_allclose(logits[:, names.index(name)], expected[0][0][:, slot], rtol=0, atol=1e-4)
    kept = [i for i in range(91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
    np.testing.assert_allclose(logits, expected[0][0][:, kept], rtol=0, atol=1e-4)
    np.testing.assert_allclose(offsets, expected[1][0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(anchors, slow_anchors(SIZES["coco"], clip_centers=False), rtol=1e-6)
    assert read_preset(table).mean == (0.48235, 0.45882, 0.40784) and read_preset(table).std == (1 / 255,) * 3
    assert any("81 outputs" in note for note in converted.notes)


def test_a_model_of_other_classes(tmp_path):
    net = SSDPytorch(classes=2)
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "two.pth")
    converted = read_detector(tmp_path / "two.pth", classes=["cup", "plate"])
    assert converted.preset.classes == ("cup", "plate")
    assert converted.arrays["class_predictors.1.predictor.weight"].shape == (18, 1024, 3, 3)
    with pytest.raises(CallError, match=r"two.pth: ssd.pytorch SSD300 of 2 classes: name them with classes="):
        read_detector(tmp_path / "two.pth")
    with pytest.raises(CallError, match="of 2 classes, but 3 names are given"):
        read_detector(tmp_path / "two.pth", classes=["a", "b", "c"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"vgg.33.bias": None}, r"bad.safetensors: ssd.pytorch SSD300 without 'vgg.33.bias' \(1024,\); is the file complete"),
        ({"vgg.2.weight": (64, 32, 3, 3)}, r"'vgg.2.weight' is \(64, 32, 3, 3\); expected \(64, 64, 3, 3\)"),
        ({"conf.2.weight": (125, 512, 3, 3)}, r"its class heads have \[20.83.*, 21.0\] outputs per anchor"),
        ({"conf.2.weight": (126, 256, 3, 3)}, r"'conf.2.weight' is \(126, 256, 3, 3\); expected \(any, 512, 3, 3\)"),
        ({"loc.0.bias": (24,)}, r"'loc.0.bias' is \(24,\); expected \(16,\)"),
        ({"vgg.40.weight": (1,)}, r"not a ssd.pytorch SSD300: 'vgg.40.weight' \(1,\) has no place in it"),
        ({"vgg.0.weight": np.zeros((64, 3, 3, 3), np.int64)}, "'vgg.0.weight' is int64; expected floating point"),
        ({"vgg.0.bias": np.full(64, np.nan, np.float32)}, "'vgg.0.bias' holds values that are not finite"),
    ],
)
def test_state_dicts_that_do_not_fit(change, message, tmp_path):
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in SSDPytorch().state_dict().items()}
    arrays = {name: value for name, value in change.items() if isinstance(value, np.ndarray)}
    shapes = {name: shape for name, shape in {**shapes, **change}.items() if isinstance(shape, tuple)}
    write_safetensors(tmp_path / "bad.safetensors", arrays, zeros=shapes)
    with pytest.raises(WeightsError, match=message):
        read_detector(tmp_path / "bad.safetensors")


def test_other_networks_are_named(tmp_path):
    torch.save({"features.0.weight": torch.zeros(1), "classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg.pth")
    with pytest.raises(WeightsError, match="vgg.pth: neither ssd.pytorch's .* looks like a backbone: name it with base_weights="):
        read_detector(tmp_path / "vgg.pth")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_not_executed(zipped, tmp_path):
    state = {"vgg.0.weight": torch.zeros(3), "bomb": Bomb(tmp_path / "owned")}
    torch.save(state, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        WeightsError, match=r"bad.pth: not a plain state dict \(unpickling it asks for io.open\); nothing in it was run"
    ):
        read_detector(tmp_path / "bad.pth")
    assert not (tmp_path / "owned").exists()
    torch.load(tmp_path / "bad.pth", weights_only=False)["bomb"].close()
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"hello" * 100, b"PK\x03\x04" + b"\0" * 100])
def test_files_that_are_no_state_dicts(content, ssd_pytorch, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="x.pth: not a plain state dict"):
        read_detector(tmp_path / "x.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="list.pth: holds a list, not a state dict"):
        read_detector(tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="none.pth: a state dict without tensors"):
        read_detector(tmp_path / "none.pth")
    (tmp_path / "cut.pth").write_bytes(ssd_pytorch[1].read_bytes()[: 10**6])
    with pytest.raises(WeightsError, match="cut.pth: not a plain state dict"):
        read_detector(tmp_path / "cut.pth")
    with pytest.raises(WeightsError, match="gone.pth: no such file"):
        read_detector(tmp_path / "gone.pth")
