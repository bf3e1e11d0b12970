import numpy as np
import pytest

import ssdzoo
from ssdzoo.nn.anchors import LiteAnchorGenerator, SSDAnchorGenerator
from ssdzoo.runtime import mxnet

mx = mxnet()


def anchors_of(generator, height, width):
    generator.initialize()
    return generator(mx.nd.zeros((1, 1, height, width))).asnumpy()[0]


def slow_anchors(size, next_size, ratios, step_y, step_x, height, width):
    rows = []
    for i in range(height):
        for j in range(width):
            cx, cy = (j + 0.5) * step_x, (i + 0.5) * step_y
            rows.append([cx, cy, size, size])
            rows.append([cx, cy, (size * next_size) ** 0.5, (size * next_size) ** 0.5])
            for ratio in ratios[1:]:
                rows.append([cx, cy, size * ratio**0.5, size / ratio**0.5])
    return np.array(rows)


@pytest.mark.parametrize("step", [8, 7.5, (6, 9)])
def test_anchors_equal_a_loop(step):
    generator = SSDAnchorGenerator(0, (64, 64), (30, 60), [1, 2, 0.5, 3, 1 / 3], step, (8, 8))
    step_y, step_x = step if isinstance(step, tuple) else (step, step)
    expected = slow_anchors(30, 60, [1, 2, 0.5, 3, 1 / 3], step_y, step_x, 3, 5)
    np.testing.assert_allclose(anchors_of(generator, 3, 5), expected, rtol=1e-6)
    assert generator.num_depth == 6


def test_first_anchors_of_vgg300():
    net = ssdzoo.get_model("ssd_300_vgg16_atrous_voc")
    first = net.anchor_generators[0].anchors.value.asnumpy()[0, 0, 0, 0].reshape(-1, 4)
    expected = [[4, 4, 30, 30], [4, 4, 42.426407, 42.426407], [4, 4, 42.426407, 21.213203], [4, 4, 21.213203, 42.426407]]
    np.testing.assert_allclose(first, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "name, size, count",
    [
        ("ssd_300_vgg16_atrous_voc", (300, 300), 8732),
        ("ssd_300_vgg16_atrous_voc", (480, 480), 21742),
        ("ssd_512_vgg16_atrous_coco", (512, 512), 24564),
        ("ssd_512_mobilenet1.0_voc", (512, 512), 6132),
        ("ssd_300_mobilenet0.25_voc", (300, 300), 2268),
        ("ssd_300_mobilenet1.0_lite_coco", (300, 300), 1917),
    ],
)
def test_number_of_anchors(name, size, count):
    net = ssdzoo.get_model(name)
    maps = net.map_sizes(*size)
    assert sum(h * w * g.num_depth for (h, w), g in zip(maps, net.anchor_generators)) == count


def test_the_published_mobilenet_keeps_its_flaw_and_the_custom_one_has_not():
    def last_center(name):
        net = ssdzoo.get_model(name, classes=["a"])
        return net.anchor_generators[0].anchors.value.asnumpy()[0, 0, 0, 18, 0]

    assert last_center("ssd_300_mobilenet0.25_voc") == pytest.approx(18.5 * 8)
    assert last_center("ssd_300_mobilenet0.25_custom") == pytest.approx(18.5 * 300 / 19)


def test_lite_anchors():
    first = LiteAnchorGenerator(0, (300, 300), (60, 105), [1, 2, 0.5], 16, (2, 2))
    second = LiteAnchorGenerator(1, (300, 300), (105, 150), [1, 2], 30, (2, 2))
    np.testing.assert_allclose(
        anchors_of(first, 1, 1), [[8, 8, 30, 30], [8, 8, 84.852814, 42.426407], [8, 8, 42.426407, 84.852814]], rtol=1e-6
    )
    np.testing.assert_allclose(
        anchors_of(second, 1, 1), [[15, 15, 52.5, 52.5], [15, 15, 148.49242, 74.24621], [15, 15, 125.49900, 125.49900]], rtol=1e-6
    )
    assert (first.num_depth, second.num_depth) == (3, 3)


def test_clip_limits_centers_and_sizes():
    generator = SSDAnchorGenerator(0, (20, 30), (40, 60), [1], 16, (3, 3), clip=True)
    last = anchors_of(generator, 3, 3)[-1]
    assert last.tolist() == [30, 20, 30, 20]


def test_growing_equals_a_larger_grid():
    small = SSDAnchorGenerator(0, (300, 300), (30, 60), [1, 2, 0.5], 300 / 19, (4, 4))
    large = SSDAnchorGenerator(0, (300, 300), (30, 60), [1, 2, 0.5], 300 / 19, (9, 5))
    small.initialize()
    small.grow(9, 5)
    np.testing.assert_allclose(anchors_of(small, 9, 5), anchors_of(large, 9, 5), rtol=2e-6)
    small.initialize(force_reinit=True)
    assert small.anchors.shape == (1, 1, 9, 5, 16)
    np.testing.assert_allclose(anchors_of(small, 9, 5), anchors_of(large, 9, 5), rtol=2e-6)


def test_an_input_larger_than_the_stored_grid():
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a"])
    net.initialize(mx.init.Xavier())
    small = net.head_outputs(mx.nd.zeros((1, 3, 300, 300)))[2].asnumpy()
    net.hybridize()
    _, _, anchors = net.head_outputs(mx.nd.zeros((1, 3, 64, 2400)))
    maps = net.map_sizes(64, 2400)
    assert maps[0] == (4, 150)
    assert anchors.shape[1] == sum(h * w * g.num_depth for (h, w), g in zip(maps, net.anchor_generators))
    np.testing.assert_allclose(anchors.asnumpy()[0, 4 * 149, :2], [149.5 * 300 / 19, 0.5 * 300 / 19], rtol=1e-5)
    np.testing.assert_array_equal(net.head_outputs(mx.nd.zeros((1, 3, 300, 300)))[2].asnumpy(), small)
