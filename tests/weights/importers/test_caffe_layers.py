import numpy as np
import pytest

from ssdzoo.weights.importers.caffe_layers import layers_of, map_sizes, prior_boxes


def layer(kind, **parameters):
    fields = {name: [str(value)] if not isinstance(value, list) else list(map(str, value)) for name, value in parameters.items()}
    field = {"PriorBox": "prior_box_param"}.get(kind, f"{kind.lower()}_param")
    return {"name": ["x"], "type": [kind], "bottom": ["data"], "top": ["x"], field: [fields]}


@pytest.mark.parametrize("kind, parameters, rows", [
    ("Convolution", dict(kernel_size=3), 298), ("Convolution", dict(kernel_size=3, stride=2, pad=1), 150),
    ("Convolution", dict(kernel_size=3, pad=6, dilation=6), 300), ("Convolution", dict(kernel_h=3, kernel_w=1, pad_h=1), 300),
    ("Pooling", dict(kernel_size=2, stride=2), 150), ("Pooling", dict(kernel_size=2, stride=7), 44),
    ("Pooling", dict(kernel_size=3, stride=1, pad=1), 300), ("Pooling", dict(kernel_size=2, stride=2, pad=1), 151),
    ("Pooling", dict(global_pooling="true"), 1), ("ReLU", {}, 300),
])  # fmt: skip
def test_rows_of_a_feature_map(kind, parameters, rows):
    """By hand; Caffe rounds down in convolutions and up in poolings, whose last window begins within the padded image."""
    assert map_sizes(layers_of({"layer": [layer(kind, **parameters)]}), 300)["x"] == rows


@pytest.mark.parametrize("parameters, message", [
    (dict(kernel_size=0), "kernel_size is 0; expected 1 to 4096"), (dict(stride=0), "stride is 0"), 
    (dict(stride=0.5), "stride is 0.5"), (dict(pad=-1), "pad is -1"), (dict(kernel_size="x"), "could not convert"),
    (dict(kernel_size="1e99"), "not a number that a layer"),
    (dict(kernel_size=301), "makes a feature map without rows of one with 300"),
])  # fmt: skip
def test_impossible_layers(parameters, message):
    with pytest.raises(ValueError, match=message):
        map_sizes(layers_of({"layer": [layer("Convolution", **parameters)]}), 300)


def boxes(cells=2, **parameters):
    return prior_boxes(layers_of({"layer": [layer("PriorBox", **parameters)]})[0], cells, 100)


def test_boxes_of_a_cell():
    found, variances = boxes(min_size=20, max_size=45, aspect_ratio=[4], variance=[0.1, 0.1, 0.2, 0.2])
    assert found.shape == (2, 2, 4, 4) and variances == [0.1, 0.1, 0.2, 0.2]
    np.testing.assert_allclose(found[0, 1], [  # around (0.75, 0.25): the minimum, sqrt(20 * 45), and the ratios 4 and 1/4
        [0.65, 0.15, 0.85, 0.35], [0.6, 0.1, 0.9, 0.4], [0.55, 0.2, 0.95, 0.3], [0.7, 0.05, 0.8, 0.45],
    ], atol=1e-12)  # fmt: skip
    found, variances = boxes(1, min_size=[20, 40], flip="false", aspect_ratio=[1, 4], step=30, offset=0.2, clip="true")
    assert variances == [0.1] * 4
    np.testing.assert_allclose(found[0, 0], [[0, 0, 0.16, 0.16], [0, 0.01, 0.26, 0.11], [0, 0, 0.26, 0.26], [0, 0, 0.46, 0.16]])


@pytest.mark.parametrize("parameters, message", [
    ({}, "impossible sizes or ratios"), (dict(min_size=-1), "impossible"), (dict(min_size=20, max_size=[30, 40]), "impossible"),
    (dict(min_size=20, aspect_ratio=0), "impossible"), (dict(min_size=20, aspect_ratio=[2] * 100), "impossible"),
    (dict(min_size=[20] * 70), "has 70 boxes per grid cell; at most 64 are read"), (dict(min_size="nan"), "not a number"),
])  # fmt: skip
def test_impossible_boxes(parameters, message):
    with pytest.raises(ValueError, match=message):
        boxes(**parameters)
