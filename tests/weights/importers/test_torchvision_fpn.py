import numpy as np
import pytest

from ssdzoo.errors import WeightsError
from ssdzoo.nn.fpn import ResNetFPN
from ssdzoo.runtime import mxnet
from ssdzoo.weights.matching import load_backbone
from tests.networks import initialize
from tests.weights.outputs import write_safetensors

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
from tests.weights.importers import torch_backbones  # noqa: E402
from tests.weights.importers.torch_backbones import freeze_norms, random_resnet_fpn  # noqa: E402
from tests.weights.importers.torch_networks import run  # noqa: E402

mx = mxnet()


class Detector(mx.gluon.HybridBlock):
    """What `load_backbone` asks of an SSD: `features`."""

    num_classes = 1

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.features = ResNetFPN(*args, **kwargs)
        initialize(self.features)
        self.features(mx.nd.zeros((1, 3, 64, 64)))


@pytest.mark.parametrize(
    "ours, theirs, prefix",
    [
        ({}, {}, ""),
        ({"returned": (2, 3, 4), "extra": 2}, {"returned": (2, 3, 4), "convolutions": True}, "backbone."),
        ({}, {"nested": False}, "backbone."),
    ],
)
def test_the_maps_are_those_of_torchvision(ours, theirs, prefix, tmp_path):
    theirs = random_resnet_fpn(18, **theirs)
    torch.save({prefix + k: v for k, v in theirs.state_dict().items()}, tmp_path / "fpn.pth")
    net = Detector("resnet18_v1b", **ours)
    load_backbone(net, tmp_path / "fpn.pth")
    for height, width in ((64, 64), (97, 131)):
        image = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
        for a, b in zip(net.features(mx.nd.array(image)), run(theirs, image), strict=True):
            assert 0.1 < b.std() < 5
            np.testing.assert_allclose(a.asnumpy(), b, rtol=0, atol=1e-4)


def test_frozen_batch_norms_have_no_eps(tmp_path):
    """Those of torchvision's published RetinaNet, whose file has no counters of batches. Variances are small in some channels."""
    theirs = random_resnet_fpn(18)
    freeze_norms(theirs)
    state = {f"backbone.{k}": v.numpy() for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    write_safetensors(tmp_path / "fpn.safetensors", state)
    net = Detector("resnet18_v1b")
    load_backbone(net, tmp_path / "fpn.safetensors")
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    for a, b in zip(net.features(mx.nd.array(image)), run(theirs, image), strict=True):
        assert 0.1 < b.std() < 5
        np.testing.assert_allclose(a.asnumpy(), b, rtol=0, atol=1e-4)


def test_a_pyramid_over_fewer_stages_takes_its_part(tmp_path):
    theirs = random_resnet_fpn(18)
    write_safetensors(tmp_path / "fpn.safetensors", {k: v.numpy() for k, v in theirs.state_dict().items()})
    net = Detector("resnet18_v1", (2, 3, 4), extra=2)
    before = net.features.extra[0].weight.data().asnumpy()
    load_backbone(net, tmp_path / "fpn.safetensors")
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    for a, b in zip(net.features(mx.nd.array(image))[:3], run(theirs, image)[1:4], strict=True):
        np.testing.assert_allclose(a.asnumpy(), b, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(net.features.extra[0].weight.data().asnumpy(), before)  # the file has a pooling instead


@pytest.mark.parametrize(
    "ours, change, message",
    [
        ({"channels": 128}, {}, r"fpn.inner_blocks.0.0.weight' is \(256, 64, 1, 1\); expected \(128, 64, 1, 1\)"),
        ({}, {"fpn.layer_blocks.2.0.bias": None}, r"without a counterpart of smooth.2.bias \(256,\); is the file complete"),
        ({}, {"fpn.inner_blocks.3.0.weight": None}, r"stands on stages of \[64, 128, 256\] channels, not on one of 512"),
        ({}, {"fpn.inner_blocks.3.0.weight": np.full((256, 512, 1, 1), np.nan, np.float32)}, "not finite"),
        ({}, {"body.layer4.1.bn2.weight": None}, "ResNet-18 without 'layer4.1.bn2.weight'"),
    ],
)
def test_what_does_not_fit(ours, change, message, tmp_path):
    with torch.device("meta"):
        state = torch_backbones.ResNetFPN(torch_backbones.BLOCKS[18]).state_dict()
    arrays = {name: value for name, value in change.items() if value is not None}
    zeros = {name: tuple(tensor.shape) for name, tensor in state.items() if name not in change and tensor.is_floating_point()}
    write_safetensors(tmp_path / "fpn.safetensors", arrays, zeros)
    with pytest.raises(WeightsError, match=f"fpn.safetensors: .*{message}"):
        load_backbone(Detector("resnet18_v1b", **ours), tmp_path / "fpn.safetensors")
