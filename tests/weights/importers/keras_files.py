"""ResNets and MobileNets of keras.applications in numpy, and their files. Arrays have the names of the files' data sets."""

import numpy as np

from tests.weights.importers.numpy_layers import batch_norm, convolution, max_pool

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
RESNET_MEAN = (103.939, 116.779, 123.68)  # BGR
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of conv_dw_1 to conv_dw_13
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)  # of conv_pw_1 to conv_pw_13


class Layers:
    """Random weights {LAYER/LAYER/PART:0: float32 array}."""

    def __init__(self, seed=0):
        self.arrays, self._rng = {}, np.random.default_rng(seed)

    def add(self, layer, **parts):
        self.arrays.update({f"{layer}/{layer}/{part}:0": np.asarray(array, np.float32) for part, array in parts.items()})

    def conv(self, layer, shape, scale=1.0, bias=False, kernel="kernel"):
        """A kernel (rows, columns, inputs, outputs) whose outputs are as large as its inputs."""
        fan_in = np.prod(shape[:2]) if kernel == "depthwise_kernel" else np.prod(shape[:3])
        biases = {"bias": self._rng.normal(0, 0.2, shape[3])} if bias else {}
        self.add(layer, **{kernel: self._rng.normal(0, scale * (2 / fan_in) ** 0.5, shape)}, **biases)

    def norm(self, layer, width, scale=1.0):
        rng = self._rng
        self.add(
            layer, gamma=scale * rng.normal(1, 0.1, width), beta=rng.normal(0, 0.2, width), moving_mean=rng.normal(0, 0.2, width),
            moving_variance=rng.uniform(0.5, 1.5, width),
        )  # fmt: skip


def resnet(blocks, width=64, seed=0) -> dict:
    """The arrays of a ResNet without its top; `width` of conv1."""
    layers = Layers(seed)

    def add(name, shape, scale=1.0, norm_scale=1.0):
        layers.conv(f"{name}_conv", shape, scale, bias=True)
        layers.norm(f"{name}_bn", shape[3], norm_scale)

    add("conv1", (7, 7, 3, width), 1 / 70)
    inputs = width
    for stage, count in enumerate(blocks):
        narrow = width << stage
        for i in range(1, count + 1):
            name = f"conv{stage + 2}_block{i}"
            if i == 1:
                add(f"{name}_0", (1, 1, inputs, 4 * narrow), norm_scale=0.5)
            add(f"{name}_1", (1, 1, inputs, narrow))
            add(f"{name}_2", (3, 3, narrow, narrow))
            add(f"{name}_3", (1, 1, narrow, 4 * narrow), norm_scale=min(0.5, 0.8 / count**0.5))
            inputs = 4 * narrow
    return layers.arrays


def resnet_features(arrays, image, padding=(0.0, 0.0, 0.0)) -> list:
    """The feature maps (C, H, W) of the four stages.

    Args:
        image: (3, H, W) RGB, 0..255.
        padding: value in the padding of the first convolution, BGR; Keras has zeros.
    """

    def apply(name, x, stride=1, pad=0, value=0.0):
        conv, norm = f"{name}_conv/{name}_conv", f"{name}_bn/{name}_bn"
        x = convolution(x, arrays[f"{conv}/kernel:0"].transpose(3, 2, 0, 1), stride, pad, value)
        parts = (arrays[f"{norm}/{part}:0"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        return batch_norm(x + arrays[f"{conv}/bias:0"][:, None, None], *parts, 1.001e-5)

    x = image[::-1].astype(np.float64) - np.reshape(RESNET_MEAN, (3, 1, 1))
    x = max_pool(np.maximum(apply("conv1", x, 2, 3, padding), 0), 3, 2, 1)
    maps = []
    for stage in range(2, 6):
        i = 1
        while f"conv{stage}_block{i}_1_conv/conv{stage}_block{i}_1_conv/kernel:0" in arrays:
            name, stride = f"conv{stage}_block{i}", 2 if i == 1 and stage > 2 else 1
            shortcut = apply(f"{name}_0", x, stride) if i == 1 else x
            x = np.maximum(apply(f"{name}_1", x, stride), 0)
            x = np.maximum(apply(f"{name}_2", x, pad=1), 0)
            x = np.maximum(apply(f"{name}_3", x) + shortcut, 0)
            i += 1
        maps.append(x)
    return maps


def mobilenet(alpha=0.25, seed=0) -> dict:
    """The arrays of a MobileNet without its top."""
    layers, inputs = Layers(seed), int(32 * alpha)
    layers.conv("conv1", (3, 3, 3, inputs))
    layers.norm("conv1_bn", inputs)
    for i, width in enumerate(WIDTHS, 1):
        width = int(width * alpha)
        layers.conv(f"conv_dw_{i}", (3, 3, inputs, 1), kernel="depthwise_kernel")
        layers.norm(f"conv_dw_{i}_bn", inputs)
        layers.conv(f"conv_pw_{i}", (1, 1, inputs, width))
        layers.norm(f"conv_pw_{i}_bn", width)
        inputs = width
    return layers.arrays


def mobilenet_features(arrays, image, limit=6.0, pad=(0, 1), padding=0.0) -> dict:
    """{number of the pair: feature map (C, H, W)} of conv_pw_5, 11 and 13.

    Args:
        image: (3, H, W) RGB, 0..255.
        limit: of the activations; Keras has 6.
        pad: before and after the image, of convolutions with stride 2; Keras has (0, 1).
        padding: value in the padding of the first convolution, RGB; Keras has zeros.
    """

    def apply(layer, x, kernel, **kwargs):
        x = convolution(x, kernel, **kwargs)
        parts = (arrays[f"{layer}_bn/{layer}_bn/{part}:0"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        return batch_norm(x, *parts, 1e-3).clip(0, limit)

    x = image.astype(np.float64) / 127.5 - 1
    x = apply("conv1", x, arrays["conv1/conv1/kernel:0"].transpose(3, 2, 0, 1), stride=2, pad=pad, value=padding)
    maps = {}
    for i, stride in enumerate(STRIDES, 1):
        kernel = arrays[f"conv_dw_{i}/conv_dw_{i}/depthwise_kernel:0"].transpose(2, 3, 0, 1)
        x = apply(f"conv_dw_{i}", x, kernel, stride=stride, pad=pad if stride == 2 else 1, groups=len(x))
        x = apply(f"conv_pw_{i}", x, arrays[f"conv_pw_{i}/conv_pw_{i}/kernel:0"].transpose(3, 2, 0, 1))
        if i in (5, 11, 13):
            maps[i] = x
    return maps


def write_keras(path, arrays):
    """Writes the arrays as Keras writes a model's weights; returns the path."""
    import h5py

    with h5py.File(path, "w") as file:
        layers = list(dict.fromkeys(name.split("/")[0] for name in arrays))
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for name, array in arrays.items():
            file[name] = array
    return path
