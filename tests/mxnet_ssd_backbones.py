"""The other backbones of mxnet-ssd's train.py, of mxnet's own operators and little depth: their operators, names and two maps."""

from ssdzoo.runtime import mxnet

mx = mxnet()


def _unit(x, name, filters, kernel=(1, 1), stride=(1, 1), pad=(0, 0), groups=1, suffix="", **norm):
    """Convolution, norm, ReLU, as MobileNet and Inception-v3 have it."""
    x = mx.sym.Convolution(
        x,
        num_filter=filters,
        kernel=kernel,
        stride=stride,
        pad=pad,
        num_group=groups,
        no_bias=True,
        name=f"{name}{suffix}_conv2d",
    )
    x = mx.sym.BatchNorm(x, name=f"{name}{suffix}_batchnorm", momentum=0, **norm)
    return mx.sym.Activation(x, act_type="relu", name=f"{name}{suffix}_relu")


def mobilenet(data, divisor=1):
    """conv_12 and conv_14: depthwise convolutions as groups, each with a pointwise one."""
    norm = {"fix_gamma": False, "eps": 1e-5}
    x, kept = _unit(data, "conv_1", 32, (3, 3), (2, 2), (1, 1), **norm), []
    width = 32
    for i, (filters, stride) in enumerate(((64, 1), (128, 2), (256, 2), (512, 2), (1024, 2)), 2):
        filters //= divisor
        x = _unit(x, f"conv_{i}_dw", width, (3, 3), (stride,) * 2, (1, 1), width, **norm)
        x = _unit(x, f"conv_{i}", filters, **norm)
        width = filters
        kept.append(x)
    return kept[-2:]


def inceptionv3(data, divisor=1):
    """Two mixed blocks, with averages that leave the padding out or not, and convolutions of 1x7 and 7x1."""
    norm = {"fix_gamma": True, "eps": 2e-5}

    def conv(x, name, filters, suffix="", **window):
        return _unit(x, name, max(4, filters // divisor), suffix=suffix, **window, **norm)

    x = conv(data, "conv", 32, kernel=(3, 3), stride=(2, 2))
    x = conv(conv(x, "conv_1", 32, kernel=(3, 3)), "conv_2", 64, kernel=(3, 3), pad=(1, 1))
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max", name="pool")
    x = conv(conv(x, "conv_3", 80), "conv_4", 192, kernel=(3, 3))
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max", name="pool1")
    tower = conv(conv(x, "mixed_tower", 48, "_conv"), "mixed_tower", 64, "_conv_1", kernel=(5, 5), pad=(2, 2))
    pooled = mx.sym.Pooling(x, kernel=(3, 3), stride=(1, 1), pad=(1, 1), pool_type="avg", name="avg_pool_mixed_pool")
    first = mx.sym.Concat(
        conv(x, "mixed_conv", 64), tower, conv(pooled, "mixed_tower_2", 32, "_conv"), name="ch_concat_mixed_chconcat"
    )
    left = conv(first, "mixed_3_conv", 96, kernel=(3, 3), stride=(2, 2))
    right = mx.sym.Pooling(first, kernel=(3, 3), stride=(2, 2), pool_type="max", name="max_pool_mixed_3_pool")
    x = mx.sym.Concat(left, right, name="ch_concat_mixed_3_chconcat")
    tower = conv(conv(x, "mixed_4_tower", 128, "_conv"), "mixed_4_tower", 128, "_conv_1", kernel=(1, 7), pad=(0, 3))
    tower = conv(tower, "mixed_4_tower", 192, "_conv_2", kernel=(7, 1), pad=(3, 0))
    pooled = mx.sym.Pooling(
        x, kernel=(3, 3), stride=(1, 1), pad=(1, 1), pool_type="avg", count_include_pad=False, name="avg_pool_mixed_4_pool"
    )
    second = mx.sym.Concat(tower, conv(pooled, "mixed_4_tower_1", 192, "_conv"), name="ch_concat_mixed_4_chconcat")
    return [first, second]


def densenet(data, divisor=1):
    """Two dense blocks with a transition between them: norms before convolutions, outputs joined to their inputs."""
    growth = max(4, 32 // divisor)

    def norm_relu(x, name):
        x = mx.sym.BatchNorm(x, fix_gamma=False, eps=2e-5, momentum=0, name=f"{name}_bn")
        return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")

    def conv(x, name, filters, kernel, stride=1):
        window = {"kernel": (kernel,) * 2, "stride": (stride,) * 2, "pad": (kernel // 2,) * 2}
        return mx.sym.Convolution(x, num_filter=filters, no_bias=True, name=f"{name}_conv", **window)

    def block(x, name, units):
        for i in range(1, units + 1):
            y = conv(norm_relu(x, f"{name}_unit{i}_1"), f"{name}_unit{i}_1", 4 * growth, 1)
            y = conv(norm_relu(y, f"{name}_unit{i}_2"), f"{name}_unit{i}_2", growth, 3)
            y = mx.sym.Dropout(y, p=0.2, name=f"{name}_unit{i}_dropout")
            x = mx.sym.Concat(x, y, name=f"{name}_concat{i}")
        return x

    x = mx.sym.BatchNorm(data, fix_gamma=True, eps=2e-5, momentum=0, name="bn_data")
    x = norm_relu(conv(x, "conv0", 2 * growth, 7, 2), "conv0")
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name="pool0")
    x = norm_relu(block(x, "DBstage1", 2), "trans1")
    x = mx.sym.Pooling(conv(x, "trans1", 2 * growth, 1), kernel=(2, 2), stride=(2, 2), pool_type="avg", name="trans1_pool")
    first = block(x, "DBstage2", 2)
    x = mx.sym.Pooling(
        conv(norm_relu(first, "trans2"), "trans2", 2 * growth, 1), kernel=(2, 2), stride=(2, 2), pool_type="avg",
        pooling_convention="full", name="trans2_pool",
    )  # fmt: skip
    return [norm_relu(first, "out1"), norm_relu(block(x, "DBstage3", 2), "out2")]


BACKBONES = {"mobilenet": mobilenet, "inceptionv3": inceptionv3, "densenet121": densenet}
