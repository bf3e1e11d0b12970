"""The networks in the files of the table of sources: each from its published description, with random weights, in the file format
of its project. Networks of PyTorch need torch; those of Keras are in numpy, Caffe's runs in OpenCV."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import ssdzoo
from ssdzoo.nn.expander import FeatureExpander
from ssdzoo.preset import IMAGENET_MEAN, IMAGENET_STD
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset
from tests.weights.importers import caffe_files, keras_files
from tests.weights.importers.numpy_layers import padded
from tests.weights.outputs import pixels, write_safetensors
from tests.weights.wire_format import write_onnx

mx = mxnet()
SIZE = 64
IMAGE = pixels(SIZE)
X = ((IMAGE / 255 - np.reshape(IMAGENET_MEAN, (3, 1, 1))) / np.reshape(IMAGENET_STD, (3, 1, 1))).astype(np.float32)[None]
MEAN = 255 * np.array(IMAGENET_MEAN)
VGG_COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WEIGHTS = {"conv6", "conv7"}  # what is compared of a VGG's dense layers, which become these convolutions
MOBILENET_V2 = "ssd_320_mobilenetv2_1.0_lite_custom"


def write_original(file: str, path: Path) -> dict:
    """Writes a file of the table of sources.

    Returns:
        {layer: array}: what the network in it makes of IMAGE (C, H, W), and weights that become others.
    """
    return find_original(file)(path)


def find_original(file: str) -> Callable[[Path], dict]:
    """`write_original` of one file; KeyError for a file that this module does not know."""
    for pattern, write in ORIGINALS.items():
        match = re.fullmatch(pattern, file)
        if match:
            return partial(write, *match.groups())
    raise KeyError(f"{file}: a source without a test: add its network to {__name__}")


def build(backbone: str, **arguments):
    """A small SSD on a backbone, with `pretrained_base=` and other arguments of `get_ssd`."""
    layers, filters, count = None, None, 6
    if backbone.endswith("_fpn"):
        layers, filters, count = ["stage2", "stage3", "stage4"], [256, 256], 5
    elif not backbone.startswith("vgg") and backbone != "resnet34_v1b":
        layers = list(named_layers(mx.gluon.model_zoo.vision.get_model(backbone)).values())
        filters, count = [], len(layers)
    sizes = [30 + 20 * i for i in range(count + 1)]
    return ssdzoo.get_ssd(backbone, 300, layers, filters, sizes, [[1, 2]] * count, None, ["a"], **arguments)


def features_of(backbone: str, net) -> dict:
    """The same of an SSD of `build`, under the same names, as far as it has them."""
    x, features = mx.nd.array(X), net.features
    if backbone.startswith("vgg"):
        weights = [p for name, p in features.backbone_parameters.items() if re.fullmatch(r"stages\.5\.\d\.weight", name)]
        maps = dict(zip(("conv6", "conv7"), (p.data() for p in weights)))
        x = features.init_scale.data() * x
        for number, stage in enumerate(features.stages[:5], 1):
            x = stage(mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max") if number > 1 else x)
            maps[f"conv{number}"] = x[0]
    elif backbone.endswith("_fpn"):
        maps = {f"P{number}": level[0] for number, level in enumerate(features(x), 3)}
        for number, part in enumerate(features.body):
            x = part(x)
            maps[f"stage{number}"] = x[0]
    elif backbone == "resnet34_v1b":  # its stage 3 has another stride than the classifier's
        maps = {"stage2": features.stage1(x)[0]}
    else:
        names = named_layers(mx.gluon.model_zoo.vision.get_model(backbone))
        maps = {name: values[0] for name, values in zip(names, features(x))}
    return {name: array.asnumpy() for name, array in maps.items()}


def named_layers(network) -> dict:
    """{our name of a layer: its name in a network of MXNet's model zoo} of the layers that are compared."""
    prefix = network.prefix
    outputs = [
        name.removeprefix(prefix).removesuffix("_output") for name in network(mx.sym.var("data")).get_internals().list_outputs()
    ]
    if "vgg" in prefix:
        return {"conv4": "relu9_fwd", "conv5": "relu12_fwd"}  # of VGG-16
    if "mobilenetv2" in prefix:
        return dict(zip(("expansion14", "last"), find_preset(MOBILENET_V2).features))
    if "mobilenet" in prefix:
        return {f"pair{number}": f"relu{2 * number}_fwd" for number in (5, 11, 13)}
    return {f"stage{n}": [name for name in outputs if name.startswith(f"stage{n}_activation")][-1] for n in range(1, 5)}


def randomized(net, size: int = SIZE):
    """A network of MXNet's model zoo with values as a training leaves them, statistics included."""
    rng = np.random.default_rng(0)
    net.initialize(mx.init.MSRAPrelu())
    net(mx.nd.zeros((1, 3, size, size)))
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
        elif name.endswith(("beta", "mean", "bias")):
            parameter.set_data(mx.nd.array(rng.normal(0, 0.2, parameter.shape)))
    # What a block of a ResNet adds, so that the sum over the blocks stays in the range of trained ones.
    stages = [stage for stage in net.features if isinstance(stage, mx.gluon.nn.HybridSequential)]
    for block in (block for stage in stages for block in stage):
        if hasattr(block, "body"):  # v1 ends in a batch norm, v2 in a convolution
            _scale(block.body[-1].gamma)
        elif hasattr(block, "conv2"):
            _scale(getattr(block, "conv3", block.conv2).weight)
    return net


def _scale(parameter, factor: float = 0.3) -> None:
    parameter.set_data(factor * parameter.data())


def flat(net) -> dict:
    return {name: parameter.data().asnumpy() for name, parameter in net.collect_params().items()}


def _mxnet(name: str, prefix: str, path: Path) -> dict:
    """An export to ONNX: the initializers have Gluon's flat names."""
    vgg = name.startswith("vgg")
    net = randomized(mx.gluon.model_zoo.vision.get_model(name, prefix=prefix), 224 if vgg else SIZE)
    write_onnx(path, flat(net))
    layers = named_layers(net)
    outputs = FeatureExpander(net, list(layers.values()), [])(mx.nd.array(X))
    maps = {name: output[0].asnumpy() for name, output in zip(layers, outputs)}
    return maps | _sampled(*(net.features[i].weight.data().asnumpy() for i in (-4, -2))) if vgg else maps


def _mxnet_resnet(depth: str, version: str, path: Path) -> dict:
    return _mxnet(f"resnet{depth}_v{version}", f"resnetv{version}7_", path)


def _mxnet_vgg(norm: str | None, path: Path) -> dict:
    return _mxnet("vgg16_bn" if norm else "vgg16", "vgg0_", path)


def _sampled(fc6: np.ndarray, fc7: np.ndarray) -> dict:
    """conv6 and conv7 of the SSD paper: every fourth output and input channel, every third row and column."""
    return {"conv6": fc6.reshape(4096, 512, 7, 7)[::4, :, ::3, ::3], "conv7": fc7[::4, ::4, None, None]}


def _torch():
    """torch, and the module of its networks; the calling test is skipped without torch."""
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    from tests.weights.importers import torch_backbones

    return torch, torch_backbones


def _torch_resnet(depth: str, path: Path) -> dict:
    torch, networks = _torch()
    net = networks.random_resnet(int(depth))
    torch.save(net.state_dict(), path)
    return _stages(networks.run_one(net, X[0]))


def _timm_resnet(depth: str, path: Path) -> dict:
    _, networks = _torch()
    net = networks.random_resnet(int(depth))
    write_safetensors(path, {name: array.numpy() for name, array in net.state_dict().items()})
    return _stages(networks.run_one(net, X[0]))


def _stages(maps: list) -> dict:
    return {f"stage{number}": values for number, values in enumerate(maps, 1)}


def _retinanet(path: Path) -> dict:
    """Its batch norms are frozen: without an eps, and without counters of batches in the file."""
    torch, networks = _torch()
    net = networks.random_resnet_fpn(50, returned=(2, 3, 4), convolutions=True)
    networks.freeze_norms(net)
    state = {f"backbone.{name}": array for name, array in net.state_dict().items() if not name.endswith("tracked")}
    torch.save({**state, "head.classification_head.conv.0.0.weight": torch.zeros(256, 256, 3, 3)}, path)
    pyramid = {f"P{number}": level for number, level in enumerate(networks.run_one(net, X[0]), 3)}
    return {**_stages(networks.run_one(net.body, X[0])), **pyramid}


def _torch_vgg(depth: str, norm: str | None, path: Path) -> dict:
    torch, networks = _torch()
    net = networks.VGGFeatures(VGG_COUNTS[int(depth)], bool(norm))
    networks.randomized(net, net.features[0])
    rng = np.random.default_rng(0)
    fc6, fc7 = (np.resize(rng.random(1_000_003, np.float32), shape) for shape in ((4096, 25088), (4096, 4096)))
    dense = {
        "0.weight": fc6,
        "0.bias": fc7[0],
        "3.weight": fc7,
        "3.bias": fc7[1],
        "6.weight": fc7[:1000],
        "6.bias": fc7[2, :1000],
    }
    torch.save(net.state_dict() | {f"classifier.{name}": torch.from_numpy(array) for name, array in dense.items()}, path)
    return dict(zip(("conv4", "conv5"), networks.run_one(net, X[0]))) | _sampled(fc6, fc7)


def _amdegroot(path: Path) -> dict:
    """Caffe's VGG-16 in torchvision's names, with NaN for a classifier; equal where the padding stands for the same pixel."""
    torch, networks = _torch()
    net, mean = networks.VGGFeatures(VGG_COUNTS[16], False), np.array([123, 117, 104])
    networks.randomized(net, net.features[0], pixels=70)
    dense = {"0.weight": (4096, 25088), "0.bias": (4096,), "3.weight": (4096, 4096), "3.bias": (4096,)}
    nan = {f"classifier.{name}": torch.full(shape, torch.nan) for name, shape in dense.items()}
    torch.save(net.state_dict() | nan, path)
    net.features[0].padding = (0, 0)
    image = padded(IMAGE - np.reshape(mean, (3, 1, 1)), 1, MEAN - mean).astype(np.float32)
    return dict(zip(("conv4", "conv5"), networks.run_one(net, image)))


def _torch_mobilenet(path: Path) -> dict:
    torch, networks = _torch()
    net = networks.MobileNetV2()
    networks.randomized(net, net.features[0][0])
    torch.save(net.state_dict(), path)
    return dict(zip(("expansion14", "last"), networks.run_one(net, X[0])))


def _keras_resnet(depth: str, path: Path) -> dict:
    """Equal where the padding stands for the same pixel; Keras's stands for its own mean."""
    arrays = keras_files.resnet(keras_files.BLOCKS[int(depth)])
    keras_files.write_keras(path, arrays)
    return _stages(keras_files.resnet_features(arrays, IMAGE, padding=MEAN[::-1] - keras_files.RESNET_MEAN))


def _keras_mobilenet(width: str, path: Path) -> dict:
    """Equal to a network without a limit at 6, and with MXNet's padding."""
    arrays = keras_files.mobilenet({"1_0": 1.0, "7_5": 0.75, "5_0": 0.5, "2_5": 0.25}[width])
    keras_files.write_keras(path, arrays)
    maps = keras_files.mobilenet_features(arrays, IMAGE, np.inf, pad=1, padding=MEAN / 127.5 - 1)
    return {f"pair{number}": values for number, values in maps.items()}


def _caffe_mobilenet(path: Path) -> dict:
    """Equal where the padding stands for the same pixel; Caffe's stands for its own mean."""
    mean = caffe_files.MOBILENET_MEAN
    caffe_files.mobilenet(SIZE).save(path.parent, path.name)[0].rename(path)
    unpadded = caffe_files.mobilenet(SIZE + 2, pad=0).save(path.parent, "unpadded")  # the same weights
    pixel = padded((IMAGE[::-1] - mean[:, None, None]) * 0.017, 1, (MEAN[::-1] - mean) * 0.017)
    return dict(zip(("pair5", "pair11", "pair13"), caffe_files.mobilenet_features(unpadded, pixel)))


# By a pattern of the file's name, whose groups are arguments.
ORIGINALS: dict[str, Callable[..., dict]] = {
    r"resnet(\d+)-v(\d)-7\.onnx": _mxnet_resnet,
    r"vgg16(-bn)?-7\.onnx": _mxnet_vgg,
    r"mobilenetv2-7\.onnx": partial(_mxnet, "mobilenetv2_1.0", "mobilenetv20_"),
    r"resnet(\d+)-[0-9a-f]{8}\.pth": _torch_resnet,
    r"resnet(\d+)\.gluon_in1k\.safetensors": _timm_resnet,
    r"retinanet_resnet50_fpn_coco-[0-9a-f]{8}\.pth": _retinanet,
    r"vgg(\d+)(_bn)?-[0-9a-f]{8}\.pth": _torch_vgg,
    r"vgg16_features-amdegroot-[0-9a-f]{8}\.pth": _amdegroot,
    r"mobilenet_v2-[0-9a-f]{8}\.pth": _torch_mobilenet,
    r"resnet(\d+)_weights_tf_dim_ordering_tf_kernels_notop\.h5": _keras_resnet,
    r"mobilenet_(\d_\d)_224_tf_no_top\.h5": _keras_mobilenet,
    r"mobilenet\.caffemodel": _caffe_mobilenet,
}
