import numpy as np
import pytest

from ssdzoo.build import get_ssd
from ssdzoo.errors import CallError
from ssdzoo.nn.vgg_atrous import Normalize, VGGAtrousExtractor, extra_spec, vgg_atrous_extractor, vgg_spec
from ssdzoo.runtime import mxnet

mx = mxnet()

VGG = dict(name="vgg11_atrous", base_size=300, features=None, filters=None, sizes=[21, 45, 99, 153, 207, 261, 315],
           ratios=[1, 2, 0.5], steps=None, classes=["a"])  # fmt: skip


def map_shapes(net, height, width):
    outputs = mx.sym.Group(net(mx.sym.var("data")))
    return [shape[1:] for shape in outputs.infer_shape(data=(1, 3, height, width))[1]]


def test_maps_of_vgg16_at_300():
    maps = map_shapes(vgg_atrous_extractor(16, 300), 300, 300)
    assert maps == [(512, 38, 38), (1024, 19, 19), (512, 10, 10), (256, 5, 5), (256, 3, 3), (256, 1, 1)]


def test_maps_of_vgg16_at_512():
    maps = map_shapes(vgg_atrous_extractor(16, 512), 512, 512)
    assert [m[1] for m in maps] == [64, 32, 16, 8, 4, 2, 1]
    assert [m[0] for m in maps] == [512, 1024, 512, 256, 256, 256, 256]


@pytest.mark.parametrize("layers, convolutions", [(11, 8), (13, 10), (16, 13), (19, 16)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_depths(layers, convolutions, batch_norm):
    net = vgg_atrous_extractor(layers, 300, batch_norm)
    kinds = [type(child).__name__ for stage in net.stages for child in stage]
    assert kinds.count("Conv2D") == convolutions + 2 == sum(vgg_spec[layers][0]) + 2
    assert kinds.count("BatchNorm") == (convolutions + 2 if batch_norm else 0)
    assert [m[1] for m in map_shapes(net, 300, 300)] == [38, 19, 10, 5, 3, 1]


@pytest.mark.parametrize("size", [300, 512])
def test_extra_layers_follow_their_table(size):
    net = vgg_atrous_extractor(16, size)
    for stage, rows in zip(net.extras, extra_spec[size]):
        convolutions = [child for child in stage if type(child).__name__ == "Conv2D"]
        got = [(c._channels, *(c._kwargs[k][0] for k in ("kernel", "stride", "pad"))) for c in convolutions]
        assert got == list(rows)


def test_extra_tables_are_those_of_the_paper():
    assert extra_spec[300][0] == ((256, 1, 1, 0), (512, 3, 2, 1))
    assert extra_spec[300][3] == ((128, 1, 1, 0), (256, 3, 1, 0))
    assert extra_spec[512][4] == ((128, 1, 1, 0), (256, 4, 1, 1))


def test_the_dilated_stage():
    conv6, _, conv7, _ = vgg_atrous_extractor(16, 300).stages[5]
    assert [conv6._kwargs[k] for k in ("kernel", "pad", "dilate", "num_filter")] == [(3, 3), (6, 6), (6, 6), 1024]
    assert [conv7._kwargs[k] for k in ("kernel", "pad", "num_filter")] == [(1, 1), (0, 0), 1024]


def test_conv6_without_dilation():
    plain, dilated = vgg_atrous_extractor(16, 300, dilation=1), vgg_atrous_extractor(16, 300)
    assert [plain.stages[5][0]._kwargs[k] for k in ("kernel", "pad", "dilate", "num_filter")] == [(3, 3), (1, 1), (1, 1), 1024]
    assert map_shapes(plain, 300, 300) == map_shapes(dilated, 300, 300)
    assert map_shapes(plain, 300, 411) == map_shapes(dilated, 300, 411)
    shapes = [{n: p.shape for n, p in get_ssd(**VGG, dilation=d)._collect_params_with_prefix().items()} for d in (None, 1, 6)]
    assert shapes[0] == shapes[1] == shapes[2] and shapes[1]["features.stages.5.0.weight"] == (1024, 512, 3, 3)


def test_what_conv6_sees():
    """A weight of ones at the centers of the nine taps finds the pixels 6, or 1, away."""
    for dilation in (6, 1):
        conv6 = vgg_atrous_extractor(11, 300, dilation=dilation).stages[5][0]
        conv6.initialize()
        conv6.weight.set_data(mx.nd.ones((1024, 512, 3, 3)))
        point = np.zeros((1, 512, 19, 19), np.float32)
        point[0, 0, 9, 9] = 1
        rows, columns = np.nonzero(conv6(mx.nd.array(point)).asnumpy()[0, 0] > 0.5)
        taps = [9 - dilation, 9, 9 + dilation]
        assert sorted(set(rows)) == sorted(set(columns)) == taps and len(rows) == 9


@pytest.mark.parametrize(
    "change", [{"name": "mobilenet0.25", "features": ["relu26_fwd"], "filters": [64] * 5}, {"name": "resnet34_v1b"}]
)
def test_dilation_is_for_vgg(change):
    with pytest.raises(CallError, match=rf"dilation=1: is for vgg16_atrous and its kin, .* not for '{change['name']}' at 300"):
        get_ssd(**{**VGG, **change}, dilation=1)


def test_init_scale_undoes_the_division_by_std():
    scale = vgg_atrous_extractor(16, 300).init_scale.value.asnumpy().ravel()
    np.testing.assert_allclose(scale, [58.395, 57.12, 57.375], rtol=1e-6)


def test_normalize_divides_by_the_norm_of_each_pixel():
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype(np.float32)
    x[0, :, 1, 1] = 0
    block = Normalize(5, initial=20)
    block.initialize()
    expected = np.zeros_like(x)
    for b, i, j in np.ndindex(2, 3, 4):
        expected[b, :, i, j] = 20 * x[b, :, i, j] / np.sqrt((x[b, :, i, j] ** 2).sum() + 1e-5)
    np.testing.assert_allclose(block(mx.nd.array(x)).asnumpy(), expected, rtol=1e-5)


def test_stages_that_do_not_fit():
    with pytest.raises(ValueError, match="2 stages in layers but 1 in filters"):
        VGGAtrousExtractor([1, 1], [64], [])
    with pytest.raises(CallError, match=r"there is no VGG-12; vgg_spec has \[11, 13, 16, 19\]"):
        vgg_atrous_extractor(12, 300)
    with pytest.raises(CallError, match=r"vgg16_atrous has extra layers for sizes \[300, 512\], not for 400"):
        vgg_atrous_extractor(16, 400)
    with pytest.raises(CallError, match="there is no VGG-12"):
        get_ssd(**{**VGG, "name": "vgg12_bn_atrous"})
