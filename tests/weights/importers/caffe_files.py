"""Writes Caffe models by the letter of the published prototxts: text for the layers, protobuf's wire format for the weights."""

import numpy as np

from tests.weights.wire_format import field, varint

VGG = {"conv1": (64, 64), "conv2": (128, 128), "conv3": (256, 256, 256), "conv4": (512, 512, 512), "conv5": (512, 512, 512)}
EXTRAS = {
    300: {"conv6": (256, 512, 3, 2, 1), "conv7": (128, 256, 3, 2, 1), "conv8": (128, 256, 3, 1, 0), "conv9": (128, 256, 3, 1, 0)},
    512: {"conv6": (256, 512, 3, 2, 1), "conv7": (128, 256, 3, 2, 1), "conv8": (128, 256, 3, 2, 1), "conv9": (128, 256, 3, 2, 1),
          "conv10": (128, 256, 4, 1, 1)},
}  # fmt: skip
STEPS = {300: (8, 16, 32, 64, 100, 300), 512: (8, 16, 32, 64, 128, 256, 512)}
SIZES = {300: (30, 60, 111, 162, 213, 264, 315), 512: (35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6)}
CELLS = {300: (38, 19, 10, 5, 3, 1), 512: (64, 32, 16, 8, 4, 2, 1)}  # along a side of each feature map
RATIOS = {300: ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)), 512: ((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,))}


class Model:
    """Layers in the order in which they run, and their weights.

    Args:
        size: of the input, (3, size, size).
        seed: of the weights, which are He-normal.
    """

    def __init__(self, size: int, seed: int = 0):
        self.text = [f'name: "net"\ninput: "data"\ninput_shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }}']
        self.blobs, self.kinds = {}, {}
        self.channels = {"data": 3}
        self.priors = []  # {field: value or values} of each PriorBox layer
        self._rng = np.random.default_rng(seed)

    def layer(self, name, kind, bottoms, parameters="", top=None, blobs=()):
        bottoms = [bottoms] if isinstance(bottoms, str) else bottoms
        inputs = " ".join(f'bottom: "{b}"' for b in bottoms)
        self.text.append(f'layer {{ name: "{name}" type: "{kind}" {inputs} top: "{top or name}" {parameters} }}')
        self.kinds[name] = kind
        self.blobs[name] = [np.asarray(blob, np.float32) for blob in blobs]
        self.channels.setdefault(top or name, self.channels.get(bottoms[0]))
        return top or name

    def conv(self, name, bottom, width, kernel, stride=1, pad=0, dilation=1, group=1, bias=True, scale=1.0):
        inputs = self.channels[bottom] // group
        blobs = [self._rng.normal(0, scale * (2 / (inputs * kernel * kernel)) ** 0.5, (width, inputs, kernel, kernel))]
        blobs += [self._rng.normal(0, 0.1, width)] * bias
        parameters = f"num_output: {width} kernel_size: {kernel} stride: {stride} pad: {pad} dilation: {dilation} group: {group} "
        self.channels[name] = width
        return self.layer(
            name, "Convolution", bottom, f"convolution_param {{ {parameters} bias_term: {str(bias).lower()} }}", blobs=blobs
        )

    def relu(self, name, bottom):
        return self.layer(name, "ReLU", bottom, top=bottom)

    def batch_norm(self, name, bottom):
        """BatchNorm, whose sums are divided by a third blob, and Scale, as they are trained."""
        width, factor = self.channels[bottom], 999.98
        mean, variance = self._rng.normal(0, 0.1, width), self._rng.uniform(0.5, 2, width)
        self.layer(f"{name}/bn", "BatchNorm", bottom, top=bottom, blobs=[mean * factor, variance * factor, [factor]])
        scale = [self._rng.normal(1, 0.1, width), self._rng.normal(0, 0.1, width)]
        self.layer(f"{name}/scale", "Scale", bottom, "scale_param { bias_term: true }", top=bottom, blobs=scale)

    def heads(self, sources, outputs, kernel, ratios, sizes, steps, clip=False, scale=1.0):
        """Class and box heads, prior boxes and the detection layer; `sizes` [(min, max or None)] in pixels."""
        joined = {"loc": [], "conf": [], "priorbox": []}
        for source, ratio, (small, large), step in zip(sources, ratios, sizes, steps):
            anchors = 1 + (large is not None) + 2 * len(ratio)
            for side, width in (("loc", 4), ("conf", outputs)):
                name = f"{source}_mbox_{side}"
                x = self.conv(name, source, anchors * width, kernel, pad=kernel // 2, scale=scale)
                x = self.layer(f"{name}_perm", "Permute", x, "permute_param { order: 0 order: 2 order: 3 order: 1 }")
                joined[side].append(self.layer(f"{name}_flat", "Flatten", x, "flatten_param { axis: 1 }"))
            prior = {
                "min_size": small, "max_size": large, "aspect_ratio": ratio, "flip": True, "clip": clip,
                "variance": (0.1, 0.1, 0.2, 0.2), "offset": 0.5, "step": step,
            }  # fmt: skip
            self.priors.append(prior)
            numbers = " ".join(_fields(name, value) for name, value in prior.items() if value is not None)
            joined["priorbox"].append(
                self.layer(f"{source}_mbox_priorbox", "PriorBox", [source, "data"], f"prior_box_param {{ {numbers} }}")
            )
        for side, axis in (("loc", 1), ("conf", 1), ("priorbox", 2)):
            self.layer(f"mbox_{side}", "Concat", joined[side], f"concat_param {{ axis: {axis} }}")
        self.layer("mbox_conf_reshape", "Reshape", "mbox_conf", f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {outputs} }} }}")
        self.layer("mbox_conf_softmax", "Softmax", "mbox_conf_reshape", "softmax_param { axis: 2 }")
        self.layer("mbox_conf_flatten", "Flatten", "mbox_conf_softmax", "flatten_param { axis: 1 }")
        parameters = (
            f"num_classes: {outputs} share_location: true background_label_id: 0 nms_param {{ nms_threshold: 0.45 top_k: 400 }}"
        )
        self.layer(
            "detection_out", "DetectionOutput", ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox"],
            f"detection_output_param {{ {parameters} code_type: CENTER_SIZE keep_top_k: 200 confidence_threshold: 0.01 }}",
        )  # fmt: skip

    def save(self, folder, name="net"):
        """Writes and returns NAME.caffemodel and NAME.prototxt."""
        model, text = folder / f"{name}.caffemodel", folder / f"{name}.prototxt"
        text.write_text("\n".join(self.text))
        model.write_bytes(b"".join(field(100, _layer(n, self.kinds[n], blobs)) for n, blobs in self.blobs.items()))
        return model, text


def _fields(name: str, value) -> str:
    """A field of a .prototxt, once for each value that it has."""
    return " ".join(f"{name}: {str(v).lower()}" for v in (value if isinstance(value, tuple) else (value,)))


def _layer(name: str, kind: str, blobs: list) -> bytes:
    """LayerParameter: name 1, type 2, blobs 7; BlobProto: shape 7, data 5; BlobShape: dim 1; NetParameter: layer 100."""
    data = field(1, name.encode()) + field(2, kind.encode())
    for blob in blobs:
        shape = field(1, b"".join(map(varint, blob.shape)))
        data += field(7, field(7, shape) + field(5, blob.astype("<f4").tobytes()))
    return data


def vgg_ssd(size=300, outputs=21, clip=False, seed=0) -> Model:
    """weiliu89's SSD on VGG-16."""
    model, x = Model(size, seed), "data"
    for stage, (name, widths) in enumerate(VGG.items(), 1):
        for i, width in enumerate(widths, 1):
            x = model.conv(f"{name}_{i}", x, width, 3, pad=1, scale=1 if x != "data" else 1 / 70)
            model.relu(f"relu{stage}_{i}", x)
        pool = "kernel_size: 2 stride: 2" if stage < 5 else "kernel_size: 3 stride: 1 pad: 1"
        x = model.layer(f"pool{stage}", "Pooling", x, f"pooling_param {{ pool: MAX {pool} }}")
    x = model.conv("fc6", x, 1024, 3, pad=6, dilation=6)
    model.relu("relu6", x)
    x = model.conv("fc7", x, 1024, 1)
    model.relu("relu7", x)
    sources = ["conv4_3_norm", "fc7"]
    for name, (narrow, wide, kernel, stride, pad) in EXTRAS[size].items():
        x = model.conv(f"{name}_1", x, narrow, 1)
        model.relu(f"{name}_1_relu", x)
        x = model.conv(f"{name}_2", x, wide, kernel, stride, pad)
        model.relu(f"{name}_2_relu", x)
        sources.append(x)
    scale = np.random.default_rng(seed + 1).uniform(10, 20, 512)
    parameters = "norm_param { across_spatial: false scale_filler { type: 'constant' value: 20 } channel_shared: false }"
    model.layer("conv4_3_norm", "Normalize", "conv4_3", parameters, blobs=[scale])
    sizes = list(zip(SIZES[size], SIZES[size][1:]))
    model.heads(sources, outputs, 3, RATIOS[size], sizes, STEPS[size], clip)
    return model


def mobilenet_ssd(batch_norm: bool, seed=0) -> Model:
    """chuanqi305's MobileNet-SSD, as trained, or with its batch norms merged into the convolutions."""
    model, x = Model(300, seed), "data"

    def conv(name, x, width, kernel, **kwargs):
        x = model.conv(name, x, width, kernel, bias=not batch_norm, **kwargs)
        if batch_norm:
            model.batch_norm(name, x)
        return model.relu(f"{name}/relu", x)

    x = conv("conv0", x, 32, 3, stride=2, pad=1)
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for i, width in enumerate(widths, 1):
        stride = 2 if i in (2, 4, 6, 12) else 1
        x = conv(f"conv{i}/dw", x, model.channels[x], 3, stride=stride, pad=1, group=model.channels[x])
        x = conv(f"conv{i}", x, width, 1)
    sources = ["conv11", "conv13"]
    for i, narrow, wide in ((14, 256, 512), (15, 128, 256), (16, 128, 256), (17, 64, 128)):
        x = conv(f"conv{i}_1", x, narrow, 1)
        x = conv(f"conv{i}_2", x, wide, 3, stride=2, pad=1)
        sources.append(x)
    sizes = [(60, None), (105, 150), (150, 195), (195, 240), (240, 285), (285, 300)]
    model.heads(sources, 21, 1, ((2,), *((2, 3),) * 5), sizes, (None,) * 6, scale=4)
    return model


MOBILENET_MEAN = np.array((103.94, 116.78, 123.68))  # BGR


def mobilenet(size, pad=1, seed=0) -> Model:
    """shicai's MobileNet without its classifier; `pad` of conv1. Its feature maps are relu4_1/sep, relu5_5/sep and relu6/sep."""
    model, x = Model(size, seed), "data"

    def conv(name, x, width, kernel, **kwargs):
        x = model.conv(name, x, width, kernel, bias=False, **kwargs)
        model.batch_norm(name, x)
        return model.relu(f"relu{name.removeprefix('conv')}", x)

    x = conv("conv1", x, 32, 3, stride=2, pad=pad)
    names = ["2_1", "2_2", "3_1", "3_2", "4_1", "4_2", *(f"5_{i}" for i in range(1, 7)), "6"]
    for name, width in zip(names, (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)):
        stride = 2 if name in ("2_2", "3_2", "4_2", "5_6") else 1
        x = conv(f"conv{name}/dw", x, model.channels[x], 3, stride=stride, pad=1, group=model.channels[x])
        x = conv(f"conv{name}/sep", x, width, 1)
    return model


def mobilenet_features(files, x) -> list:
    """The three feature maps (C, H, W) of a saved `mobilenet`, from OpenCV, of normalized BGR pixels (3, H, W)."""
    import cv2

    net = cv2.dnn.readNetFromCaffe(str(files[1]), str(files[0]))
    net.enableWinograd(False)
    net.setInput(x[None].astype(np.float32))
    return [m[0] for m in net.forward(["relu4_1/sep", "relu5_5/sep", "relu6/sep"])]
