import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.registry import read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.weights.torch import read_ssd

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
from tests.weights.torch_networks import SSDPytorch, TorchvisionSSD300, randomized, run  # noqa: E402

mx = mxnet()


def photo(size=300, seed=0):
    """(3, size, size) float32 RGB, 0..255: blurred noise, so that neighboring pixels are alike."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (3, size // 20, size // 20))
    return np.kron(coarse, np.ones((20, 20))).astype(np.float32).round()


def raw_outputs(params, table, pixels):
    """Logits, offsets and anchors of a converted file, loaded as a user would, of RGB pixels 0..255."""
    preset = read_preset(table)
    net = ssdzoo.get_model(str(table), pretrained=str(params))
    scale = np.array(preset.std, np.float32).reshape(3, 1, 1)
    x = (pixels / np.float32(255) - np.array(preset.mean, np.float32).reshape(3, 1, 1)) / scale
    return [output.asnumpy()[0] for output in net.heads(mx.nd.array(x[None]))]


@pytest.fixture(scope="module")
def amdegroot(tmp_path_factory):
    net = SSDPytorch()
    randomized(net, net.vgg[0], pixels=70)
    path = tmp_path_factory.mktemp("amdegroot") / "ssd300.pth"
    torch.save(net.state_dict(), path)
    return net, path


def test_ssd_pytorch(amdegroot, tmp_path):
    net, path = amdegroot
    pixels = photo()
    mean = np.array([123, 117, 104], np.float32).reshape(3, 1, 1)
    expected = run(net, (pixels - mean)[None])
    logits, offsets, anchors = raw_outputs(*read_ssd(path).save(tmp_path / "voc.params"), pixels)
    print(logits.std(), abs(logits).max(), offsets.std(), abs(expected[0][0]-logits).max(), abs(expected[1][0]-offsets).max())
    np.testing.assert_allclose(logits, expected[0][0], rtol=0, atol=1e-4)
