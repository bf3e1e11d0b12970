"""What a module does on a GPU, without one: where its tensors lie, whether the host waits, and which precision it has."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

import ssdzoo
from ssdzoo.export.torch import operations, to_torch
from ssdzoo.export.torch.builder import Builder
from ssdzoo.export.torch.detection import find_objects
from ssdzoo.export.torch.translate import translate
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.zoo import find_preset
from tests.export.onnx.models import older_symbol
from tests.export.operators import SINGLE, data_of
from tests.export.torch.fake_card import CARD, InFloat32, OnTheCard, autocast, card, moved
from tests.export.torch.models import module_of, network, noise
from tests.export.torch.test_networks import SMALL_PYRAMID
from tests.export.torch.test_operators import CASES

QUICK = ("ssd_300_vgg16_atrous_voc", "ssd_512_resnet18_v1_voc", "ssd_300_mobilenet1.0_lite_coco", SMALL_PYRAMID)
HALF = torch.float16
RULE = DetectionRule(thresh=0.45, topk=40, post=15, score=0.01, stds=(0.1, 0.1, 0.2, 0.2))
RULES = [RULE, DetectionRule(**{**vars(RULE), "multi_box": True, "clip": True, "scale_limit": 4.0, "by_class": False})]


def on_the_card(module, size, dtype=None):
    """The head outputs of images, and how many operators of growing numbers there were."""
    images = torch.empty(2, 3, *size, device=CARD)
    with OnTheCard(), autocast(dtype), InFloat32() if dtype else nullcontext() as watched:
        return module(images), watched.count if dtype else 0


def check(module, size):
    with card():
        moved(module)
        (logits, offsets, anchors), _ = on_the_card(module, size)
        assert {logits.dtype, offsets.dtype, anchors.dtype} == {torch.float32} and logits.shape[:2] == offsets.shape[:2]
        half, count = on_the_card(module, size, HALF)
        assert [output.shape for output in half] == [logits.shape, offsets.shape, anchors.shape]
        assert half[0].dtype == half[1].dtype == HALF and half[2].dtype == torch.float32
    return count


@pytest.mark.parametrize("name", QUICK, ids=lambda name: getattr(name, "name", name))
def test_networks(name):
    preset = find_preset(name) if isinstance(name, str) else name
    assert (check(module_of(network(name)), preset.base_size) > 0) == ("vgg" in preset.name)  # its L2 normalization


@pytest.mark.long
@pytest.mark.parametrize("name", ssdzoo.list_models())
def test_every_preset(name):
    check(module_of(network(name)), find_preset(name).base_size)


def test_anchors_that_are_computed():
    """Those of mxnet-ssd's symbols, from the sizes of feature maps."""
    symbol = older_symbol()
    shapes, _, more = symbol.infer_shape(data=(2, 3, 64, 96))
    names = [*zip(symbol.list_arguments(), shapes), *zip(symbol.list_auxiliary_states(), more)]
    module = to_torch(symbol.tojson(), {name: np.zeros(shape, np.float32) for name, shape in names if name != "data"})
    assert check(module, (64, 96)) == 2  # the squares of its L2 normalization, and their sum


@pytest.mark.parametrize("rule", RULES)
def test_detections(rule):
    """The host waits for each round of NMS, and for nothing else."""
    with card():
        heads = [torch.empty(shape, device=CARD) for shape in ((2, 90, 4), (2, 90, 4), (1, 90, 4))]
        with OnTheCard(waits=["equal"]) as mode:
            found = find_objects(*heads, rule, (64, 96))
        assert [tuple(values.shape) for values in found] == [(2, 15), (2, 15), (2, 15, 4)] and mode.waited == 1


COMPOSITE = {"l2 over channels", "l2 over all", "lrn", "softmax", "log softmax", "softmax with labels", "softrelu"}


@pytest.mark.parametrize("name", CASES)
def test_operators(name):
    """None mixes devices, and those that are made of several don't compute squares or powers in half precision."""
    symbol, shape, arrays = CASES[name]
    shape = data_of(name).shape if name in SINGLE else shape
    states, (graph, g) = symbol.list_auxiliary_states(), (read_symbol(symbol.tojson()), Builder())
    image = g.input("images", shape)
    given = {n: g.tensor(n, torch.from_numpy(np.float32(a)), None if n in states else True) for n, a in arrays.items()}
    values = translate(g, graph, {**given, "data": image}, image)
    module = g.finish(tuple(values[key] for key in graph.outputs))
    with card(), OnTheCard(), autocast(HALF), InFloat32() if name in COMPOSITE else nullcontext():
        outputs = moved(module)(torch.empty(shape, device=CARD, dtype=HALF if name in COMPOSITE else torch.float32))
    assert all(output.device == CARD for output in outputs)


@pytest.mark.parametrize("dtype, error", [(torch.float16, 1e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("largest", [300.0, 60000.0])
def test_normalizations_in_half_precision(dtype, error, largest):
    """512 squares of such numbers are beyond float16, whose eps of 1e-10 is 0."""
    x = torch.from_numpy(noise(2, (4, 5)))[:, :1] * torch.ones(1, 512, 1, 1)
    x = (x / x.abs().max() * largest).to(dtype)
    x[0, :, 0, 0] = 0
    exact = x.double()
    expected = exact / (exact.square().sum(1, keepdim=True) + 1e-10).sqrt()
    found = operations.l2_normalize(x, [1], 1e-10)
    assert found.dtype == dtype and (found.double() - expected).abs().max() < error * expected.abs().max()
    assert found[0, :, 0, 0].tolist() == [0] * 512
    squares = torch.nn.functional.avg_pool3d(exact.square()[:, None], (5, 1, 1), 1, (2, 0, 0))[:, 0]
    expected = exact / (1 + 1e-4 * squares) ** 0.75
    found = operations.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
    assert found.dtype == dtype and (found.double() - expected).abs().max() < error * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_anchors_stay_exact_in_half_precision(dtype):
    module = module_of(network("ssd_300_mobilenet0.25_custom"))
    exact = module(torch.zeros(1, 3, 300, 300))[2]
    half = copy.deepcopy(module).to(dtype)
    assert {p.dtype for p in half.parameters()} == {dtype}
    with torch.no_grad():
        logits, offsets, anchors = half(torch.zeros(1, 3, 300, 300, dtype=dtype))
    assert logits.dtype == offsets.dtype == dtype and torch.equal(anchors, exact)
    assert half.double()(torch.zeros(1, 3, 300, 300).double())[2].dtype == torch.float64


def test_what_waits_is_found_out():
    with card(), OnTheCard(), autocast(HALF), InFloat32():
        values = torch.empty(3, device=CARD)
        with pytest.raises(AssertionError, match="tensor copies numbers from the host, for which the card waits"):
            values * torch.tensor([1.0, 2.0, 3.0])
        with pytest.raises(AssertionError, match="cpu gives a tensor on cpu"):
            values.cpu()
        with pytest.raises(AssertionError, match="an index of type FakeTensor: the shape depends on values"):
            values[values > 0]
        with pytest.raises(Exception, match="_local_scalar_dense"):
            values.sum().item()
        with pytest.raises(AssertionError, match=r"aten.exp.default gives \[torch.float16\]"), autocast(None):
            values.to(HALF).exp()
