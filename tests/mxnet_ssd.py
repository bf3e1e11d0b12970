"""Models as mxnet-ssd and SageMaker save them: the graph of the training or of the deployment, of mxnet's own operators."""

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from ssdzoo.runtime import mxnet
from tests.mxnet_ssd_backbones import BACKBONES

mx = mxnet()
RATIOS = [(1, 2, 0.5), *[(1, 2, 0.5, 3, 1 / 3)] * 3, (1, 2, 0.5), (1, 2, 0.5)]
SIZES = [(0.1, 0.141), (0.2, 0.272), (0.37, 0.447), (0.54, 0.619), (0.71, 0.79), (0.88, 0.961)]
RATIOS_512 = [*RATIOS[:4], RATIOS[3], *RATIOS[4:]]
SIZES_512 = [(0.07, 0.1025), (0.15, 0.2121), (0.3, 0.3674), (0.45, 0.5196), (0.6, 0.6708), (0.75, 0.8216), (0.9, 0.9721)]


def _conv(x, name, filters, kernel=3, stride=1, pad=None, dilate=1, **kwargs):
    pad = kernel // 2 * dilate if pad is None else pad
    return mx.sym.Convolution(
        x, name=name, num_filter=filters, kernel=(kernel,) * 2, stride=(stride,) * 2, pad=(pad,) * 2, dilate=(dilate,) * 2,
        **kwargs,
    )  # fmt: skip


def _relu(x, name):
    return mx.sym.Activation(x, act_type="relu", name=name)


def vgg16_reduced(data, divisor=1):
    """relu4_3 and relu7; all channels divided by `divisor`."""
    x, kept = data, []
    for stage, (count, width) in enumerate(zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512)), 1):
        for i in range(1, count + 1):
            x = _relu(_conv(x, f"conv{stage}_{i}", width // divisor), f"relu{stage}_{i}")
        kept.append(x)
        window = {"kernel": (3, 3), "stride": (1, 1), "pad": (1, 1)} if stage == 5 else {"kernel": (2, 2), "stride": (2, 2)}
        more = {"pooling_convention": "full"} if stage == 3 else {}
        x = mx.sym.Pooling(x, pool_type="max", name=f"pool{stage}", **window, **more)
    x = _relu(_conv(x, "fc6", 1024 // divisor, dilate=6), "relu6")
    return [kept[3], _relu(_conv(x, "fc7", 1024 // divisor, 1), "relu7")]


def resnet50(data, divisor=1):
    """The outputs of the third and the fourth stage of the pre-activation network, with a norm of the pixels first."""

    def norm(x, name, **kwargs):
        # Without momentum one training step makes the statistics of its batch the running ones.
        return mx.sym.BatchNorm(x, name=name, eps=2e-5, momentum=0, **{"fix_gamma": False, **kwargs})

    def unit(x, name, width, stride, same):
        first = _relu(norm(x, f"{name}_bn1"), f"{name}_relu1")
        y = _conv(first, f"{name}_conv1", width // 4, 1, no_bias=True)
        y = _conv(_relu(norm(y, f"{name}_bn2"), f"{name}_relu2"), f"{name}_conv2", width // 4, 3, stride, no_bias=True)
        y = _conv(_relu(norm(y, f"{name}_bn3"), f"{name}_relu3"), f"{name}_conv3", width, 1, no_bias=True)
        return y + (x if same else _conv(first, f"{name}_sc", width, 1, stride, no_bias=True))

    x = norm(mx.sym.identity(data, name="id"), "bn_data", fix_gamma=True)
    x = _relu(norm(_conv(x, "conv0", 64 // divisor, 7, 2, no_bias=True), "bn0"), "relu0")
    x, stages = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max"), []
    for stage, (units, width) in enumerate(zip((3, 4, 6, 3), (256, 512, 1024, 2048)), 1):
        for i in range(1, units + 1):
            x = unit(x, f"stage{stage}_unit{i}", width // divisor, 2 if i == 1 and stage > 1 else 1, i > 1)
        stages.append(x)
    return stages[2:]


def _more_maps(maps, widths, strides, pads, divisor):
    for k, (width, stride, pad) in enumerate(zip(widths, strides, pads), len(maps)):
        name = f"multi_feat_{k}_conv"
        x = _relu(_conv(maps[-1], f"{name}_1x1_conv", max(128, width // 2) // divisor, 1), f"{name}_1x1_relu")
        maps.append(_relu(_conv(x, f"{name}_3x3_conv", width // divisor, 3, stride, pad), f"{name}_3x3_relu"))
    return maps


@dataclass
class Model:
    """A symbol with its parameters."""

    symbol: object
    arrays: dict  # {"arg:NAME" or "aux:NAME": NDArray}
    size: int
    classes: int

    def write(self, folder: Path, name: str = "model_algo_1", hyperparams: bool = True, epoch: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        self.symbol.save(str(folder / f"{name}-symbol.json"))
        mx.nd.save(str(folder / f"{name}-{epoch:04d}.params"), self.arrays)
        if hyperparams:
            values = {"image_shape": str(self.size), "num_classes": str(self.classes), "base_network": "vgg-16", "epochs": "30"}
            (folder / "hyperparams.json").write_text(json.dumps({**values, "nms_threshold": "0.45", "overlap_threshold": "0.5"}))
        return folder

    def detections(self, planes: np.ndarray) -> np.ndarray:
        """(K, 6) class id, score and normalized corners that mxnet itself finds in an input (3, H, W), best first."""
        given = {n.removeprefix("arg:"): a for n, a in self.arrays.items() if n.startswith("arg:")}
        given["data"] = mx.nd.array(planes[None])
        if "label" in self.symbol.list_arguments():
            given["label"] = mx.nd.ones((1, 2, 5)) * -1
        auxiliary = {n.removeprefix("aux:"): a for n, a in self.arrays.items() if n.startswith("aux:")}
        rows = _bind(self.symbol, given, auxiliary).forward(is_train=False)[-1].asnumpy()[0]
        rows = rows[rows[:, 0] >= 0]
        return rows[np.argsort(-rows[:, 1], kind="stable")]


def _bind(symbol, given: dict, auxiliary: dict):
    """As mxnet does it, but without MKL-DNN's fusions where there are depthwise convolutions before norms, on which they fail."""
    depthwise = any(int(attributes.get("num_group", 1)) > 1 for attributes in symbol.attr_dict().values())
    with mock.patch.dict(os.environ, {"MXNET_SUBGRAPH_BACKEND": "NONE"} if depthwise else {}):
        return symbol.bind(mx.cpu(), given, aux_states=auxiliary, grad_req="null")


def pack(folder: Path, archive: Path, prefix: str = "") -> Path:
    """The files of a folder as SageMaker packs them."""
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, prefix + file.name)
    return archive


def photos(count: int, seed: int = 0) -> list:
    """(150, 200, 3) uint8 images of soft blots."""
    rng = np.random.default_rng(seed)
    small = [rng.integers(0, 256, (12, 16, 3), np.uint8) for _ in range(count)]
    return [cv2.resize(image, (200, 150), interpolation=cv2.INTER_CUBIC) for image in small]


def build(network: str, size: int, classes: int = 3, training: bool = True, divisor: int = 8, mean=(123, 117, 104),
          force_suppress: bool = False, calibrated: bool = True) -> Model:  # fmt: skip
    """A model with random parameters that find objects all over an image.

    Args:
        network: "vgg16_reduced", "resnet50", or one of `mxnet_ssd_backbones`.
        divisor: of the numbers of channels.
        mean: of the pixels that it takes.
        calibrated: False leaves out what takes time, so that nothing is found.
    """
    with mx.name.NameManager():
        symbol, heads = _symbol(network, size, classes, training, divisor, force_suppress)
    return Model(symbol, _parameters(symbol, heads if calibrated else [], size, classes, mean), size, classes)


def _symbol(network, size, classes, training, divisor, force_suppress):
    data, wide = mx.sym.var("data"), network == "vgg16_reduced" and size >= 448
    sizes, ratios = (SIZES_512, RATIOS_512) if wide else (SIZES, RATIOS)
    steps = None
    if network != "vgg16_reduced":
        backbone = BACKBONES.get(network, resnet50)
        maps = _more_maps(backbone(data, divisor), (512, 256, 256, 128), (2, 2, 2, 2), (1, 1, 1, 1), divisor)
    elif wide:
        steps = [step / 512 for step in (8, 16, 32, 64, 128, 256, 512)] if size == 512 else None
        maps = _more_maps(vgg16_reduced(data, divisor), (512, 256, 256, 256, 256), (2, 2, 2, 2, 1), (1,) * 5, divisor)
    else:
        steps = [step / 300 for step in (8, 16, 32, 64, 100, 300)] if size == 300 else None
        maps = _more_maps(vgg16_reduced(data, divisor), (512, 256, 256, 256), (2, 2, 1, 1), (1, 1, 0, 0), divisor)
    names = [layer.name for layer in maps]
    if network == "vgg16_reduced":
        scale = mx.sym.var("relu4_3_scale", shape=(1, 512 // divisor, 1, 1))
        maps[0] = mx.sym.broadcast_mul(scale, mx.sym.L2Normalization(maps[0], mode="channel", name="relu4_3_norm"))
    rows: dict = {"cls": [], "loc": [], "anchors": []}
    for i, (x, name) in enumerate(zip(maps, names)):
        count = len(sizes[i]) - 1 + len(ratios[i])
        for what, values in (("loc", 4), ("cls", classes + 1)):
            y = _conv(x, f"{name}_{what}_pred_conv", count * values)
            rows[what].append(mx.sym.Flatten(mx.sym.transpose(y, axes=(0, 2, 3, 1))))
        step = (-1.0, -1.0) if steps is None else (steps[i],) * 2
        anchors = mx.sym.contrib.MultiBoxPrior(x, sizes=sizes[i], ratios=ratios[i], steps=step, name=f"{name}_anchors")
        rows["anchors"].append(mx.sym.Flatten(anchors))
    offsets = mx.sym.concat(*rows["loc"], dim=1, name="multibox_loc_pred")
    logits = mx.sym.reshape(mx.sym.concat(*rows["cls"], dim=1), shape=(0, -1, classes + 1))
    logits = mx.sym.transpose(logits, axes=(0, 2, 1), name="multibox_cls_pred")
    anchors = mx.sym.reshape(mx.sym.concat(*rows["anchors"], dim=1), shape=(0, -1, 4), name="multibox_anchors")
    detect = {"name": "detection", "nms_threshold": 0.45, "force_suppress": force_suppress, "nms_topk": 400}
    if not training:
        scores = mx.sym.SoftmaxActivation(logits, mode="channel", name="cls_prob")
        return mx.sym.contrib.MultiBoxDetection(scores, offsets, anchors, **detect), names
    target = mx.sym.contrib.MultiBoxTarget(
        anchors, mx.sym.var("label"), logits, overlap_threshold=0.5, ignore_label=-1, negative_mining_ratio=3,
        negative_mining_thresh=0.5, name="multibox_target",
    )  # fmt: skip
    scores = mx.sym.SoftmaxOutput(
        logits, target[2], ignore_label=-1, use_ignore=True, multi_output=True, normalization="valid", name="cls_prob"
    )
    loss = mx.sym.smooth_l1(target[1] * (offsets - target[0]), scalar=1.0, name="loc_loss_")
    found = mx.sym.contrib.MultiBoxDetection(scores, offsets, anchors, **detect)
    return mx.sym.Group([
        scores, mx.sym.MakeLoss(loss, normalization="valid", name="loc_loss"),
        mx.sym.MakeLoss(target[2], grad_scale=0, name="cls_label"), mx.sym.MakeLoss(found, grad_scale=0, name="det_out"),
    ]), names  # fmt: skip


def _parameters(symbol, heads, size, classes, mean) -> dict:
    """Weights after He et al. 2015 and running statistics of some photos; heads whose outputs are spread as those of a trained
    network."""
    rng = np.random.default_rng(0)
    photo = [cv2.resize(photo, (size, size)) for photo in photos(2, seed=9)]
    batch = (np.stack(photo).astype(np.float32) - mean).transpose(0, 3, 1, 2)
    label = {"label": (2, 2, 5)} if "label" in symbol.list_arguments() else {}
    shapes, _, more = symbol.infer_shape(data=batch.shape, **label)
    given = {}
    for name, shape in zip(symbol.list_arguments(), shapes):
        if len(shape) == 4 and name.endswith("weight"):
            spread = np.sqrt(2 / np.prod(shape[1:])) / (60 if name == "conv1_1_weight" else 1)
            given[name] = rng.standard_normal(shape, np.float32) * np.float32(spread)
        elif name != "data" and name != "label":
            given[name] = np.full(shape, 20 if name.endswith("scale") else 1 if name.endswith("gamma") else 0)
    given = {name: mx.nd.array(value) for name, value in given.items()}
    auxiliary = {n: mx.nd.ones(s) if n.endswith("var") else mx.nd.zeros(s) for n, s in zip(symbol.list_auxiliary_states(), more)}
    if not heads:
        return _named(given, auxiliary)
    outputs = [f"{name}_{what}_pred_conv" for name in heads for what in ("loc", "cls")]
    internals = symbol.get_internals()
    before = mx.sym.Group([internals[f"{name}_output"] for name in outputs])
    bound = _bind(before, {**given, "data": mx.nd.array(batch)}, auxiliary)
    bound.forward(is_train=True)[0].wait_to_read()  # the running statistics
    for name, found in zip(outputs, bound.forward(is_train=False)):
        found = found.asnumpy()
        level = found.mean((0, 2, 3))
        spread = 0.8 if "_loc_" in name else 1.5
        scale = spread / max(float((found - level[:, None, None]).std()), 0.1 * float(found.std()), 1e-6)
        bias = -level * scale
        if "_cls_" in name:
            bias = bias + rng.normal(0, 0.5, bias.shape)
            bias[:: classes + 1] += 1
        given[f"{name}_weight"] *= scale
        given[f"{name}_bias"] = mx.nd.array(bias)
    return _named(given, auxiliary)


def _named(given: dict, auxiliary: dict) -> dict:
    return {f"arg:{n}": a for n, a in given.items()} | {f"aux:{n}": a for n, a in auxiliary.items()}
