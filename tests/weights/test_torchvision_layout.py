"""Detectors as torchvision's own state dict, and back."""

import numpy as np
import pytest

from ssdzoo.build import get_model
from ssdzoo.errors import ExportError
from ssdzoo.formats.params_file import read_params, write_params
from ssdzoo.preset import read_preset
from ssdzoo.weights.importers import read_detector
from ssdzoo.weights.torchvision_layout import torchvision_arrays
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo
from tests.weights.outputs import pixels, raw_outputs

torch = pytest.importorskip("torch", reason="needs the extra torch")
from tests.weights.importers.torch_networks import TorchvisionSSD300, randomized, run  # noqa: E402

GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A detector of torchvision, and its parameter file."""
    folder = tmp_path_factory.mktemp("torchvision")
    net = TorchvisionSSD300()
    randomized(net, net.backbone.features[0], pixels=70, seed=1)
    torch.save(net.state_dict(), folder / "theirs.pth")
    read_detector(folder / "theirs.pth").save(folder / "coco.params")
    return net, folder


def test_round_trip(theirs, tmp_path):
    net, folder = theirs
    out, _ = ssdzoo("export", folder / "coco.params", "--format", "torch", "--layout", "torchvision", "--out", tmp_path)
    name = find_preset("ssd_300_vgg16_atrous_coco").name
    assert out == f"{tmp_path}/{name}.pth, {name}.toml\n"
    found, wanted = torch.load(tmp_path / f"{name}.pth"), net.state_dict()
    assert found.keys() == wanted.keys()
    for key, tensor in wanted.items():
        if "classification" in key:
            ours = found[key].reshape(-1, 91, *tensor.shape[1:])
            kept = [slot for slot in range(91) if slot not in GAPS]
            assert torch.equal(ours[:, kept], tensor.reshape(ours.shape)[:, kept])
            assert set(ours[:, list(GAPS)].unique().tolist()) == {-1e4 if key.endswith("bias") else 0}
        else:
            assert torch.equal(found[key], tensor), key
    ssdzoo("convert", tmp_path / f"{name}.pth", tmp_path / "back.params")
    assert (tmp_path / "back.params").read_bytes() == (folder / "coco.params").read_bytes()
    assert read_preset(tmp_path / "back.toml") == read_preset(folder / "coco.toml")
    _, shown = ssdzoo("export", folder / "coco.params", "--format", "torch", "--layout", "tv", "--out", tmp_path, status=2)
    assert "no layout 'tv'; there are ssdzoo and torchvision" in shown


def test_other_networks_are_refused(theirs):
    _, folder = theirs
    arrays, preset = read_params(folder / "coco.params"), read_preset(folder / "coco.toml")
    with pytest.raises(ExportError, match="ssd_512_vgg16_atrous_voc is no ssd_300_vgg16_atrous"):
        torchvision_arrays(arrays, find_preset("ssd_512_vgg16_atrous_voc"), "x.params")
    moved = {**arrays, "anchor_generators.1.anchors": arrays["anchor_generators.1.anchors"] + 1}
    with pytest.raises(ExportError, match="x.params: the centers of its anchors are not torchvision's"):
        torchvision_arrays(moved, preset, "x.params")


def boxes_of(offsets, anchors):
    center = offsets[:, :2] * 0.1 * anchors[:, 2:] + anchors[:, :2]
    return np.concatenate([center, np.exp(offsets[:, 2:] * 0.2) * anchors[:, 2:]], 1)


@pytest.mark.long
def test_other_means_and_anchors(theirs, tmp_path):
    """VOC's anchors, ImageNet's mean and std, in torchvision's network: equal logits, and equal boxes from its own anchors."""
    _, folder = theirs
    preset = find_preset("ssd_300_vgg16_atrous_voc")
    arrays = read_params(folder / "coco.params")
    own = {i: (len(r) + 1) for i, r in enumerate(preset.ratios)}
    for i, count in own.items():
        for part in ("weight", "bias"):
            name = f"class_predictors.{i}.predictor.{part}"
            rest = arrays[name].shape[1:]
            arrays[name] = arrays[name].reshape(count, 81, *rest)[:, :21].reshape(-1, *rest)
    arrays["features.init_scale"] = (255 * np.float32(preset.std)).reshape(1, 3, 1, 1)
    other = ssdzoo_anchors(preset)
    arrays.update(other)
    net = TorchvisionSSD300(slots=21).eval()
    net.load_state_dict({n: torch.from_numpy(a) for n, a in torchvision_arrays(arrays, preset, "x").items()})
    image = pixels(300, seed=1)
    mean = np.array([0.48235, 0.45882, 0.40784], np.float32).reshape(3, 1, 1)
    logits, offsets = (o[0] for o in run(net, ((image / 255 - mean) * 255)[None]))
    write_params(tmp_path / "voc.params", arrays)
    (tmp_path / "voc.toml").write_text(preset.to_toml())
    ours = raw_outputs(tmp_path / "voc.params", tmp_path / "voc.toml", image)
    theirs_anchors = np.concatenate([
        read_params(folder / "coco.params")[f"anchor_generators.{i}.anchors"][0, 0, :cells, :cells].reshape(-1, 4)
        for i, cells in enumerate((38, 19, 10, 5, 3, 1))
    ])  # fmt: skip
    assert abs(ours[0]).max() > 5
    inner = np.abs(ours[0] - logits).max(1)
    assert np.median(inner) < 1e-3 and inner.max() < 0.5  # the padding stands for another mean at the outermost pixels
    found, expected = boxes_of(offsets, theirs_anchors), boxes_of(ours[1], ours[2])
    assert np.median(np.abs(found - expected)) < 1e-2


def ssdzoo_anchors(preset):
    net = get_model(preset)
    return {f"anchor_generators.{i}.anchors": g._stored().astype(np.float32) for i, g in enumerate(net.anchor_generators)}
