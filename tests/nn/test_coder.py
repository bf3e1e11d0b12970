import numpy as np

from ssdzoo.boxes import center_to_corner
from ssdzoo.nn.coder import decode, encode
from ssdzoo.runtime import mxnet

mx = mxnet()


def test_offsets_of_one_box():
    anchor = mx.nd.array([[[100, 100, 50, 20]]])
    box = mx.nd.array([[[100, 95, 150, 115]]])  # center (125, 105), 50 x 20
    np.testing.assert_allclose(encode(mx.nd, box, anchor).asnumpy(), [[[5, 2.5, 0, 0]]], atol=1e-5)


def test_sizes_are_encoded_with_five_and_centers_with_ten():
    anchor = mx.nd.array([[[0, 0, 10, 10]]])
    box = mx.nd.array([[[-9, -19, 11, 21]]])  # center (1, 1), 20 x 40
    expected = [10 * 0.1, 10 * 0.1, 5 * np.log(2), 5 * np.log(4)]
    np.testing.assert_allclose(encode(mx.nd, box, anchor).asnumpy()[0, 0], expected, rtol=1e-5)


def test_decoding_undoes_encoding():
    rng = np.random.default_rng(0)
    anchors = np.concatenate([rng.uniform(0, 300, (1, 40, 2)), rng.uniform(10, 200, (1, 40, 2))], -1)
    centers = np.concatenate([rng.uniform(0, 300, (3, 40, 2)), rng.uniform(5, 300, (3, 40, 2))], -1)
    boxes = np.stack([center_to_corner(c) for c in centers])
    offsets = encode(mx.nd, mx.nd.array(boxes), mx.nd.array(anchors))
    np.testing.assert_allclose(decode(mx.nd, offsets, mx.nd.array(anchors)).asnumpy(), boxes, atol=1e-3)


def test_an_empty_box_has_finite_offsets():
    offsets = encode(mx.nd, mx.nd.array([[[5, 5, 5, 5]]]), mx.nd.array([[[5, 5, 10, 10]]])).asnumpy()
    assert np.isfinite(offsets).all()
