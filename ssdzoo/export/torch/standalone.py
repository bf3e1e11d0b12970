"""What an exported `model.py` holds beside its network: the weights, images made ready, and detections.

An exported `model.py` holds this text, behind that of `operations`, so nothing else but torch and Python's own modules is
imported here.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssdzoo.export.torch.operations import without_formats

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32}


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """{name: tensor} of a .safetensors file: the length of a JSON header, the header, the data."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(data[begin:end], dtype=_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Part(torch.nn.Module):
    """Holds tensors and other parts; part["name"] and part[0] are those of these names."""

    def __getitem__(self, name: str | int) -> Any:
        return getattr(self, str(name))


class Network(Part):
    """A network with its tensors, made ready for images, and its detections. The classes that are made from it have:

    CLASSES: names. SIZE: (H, W) of the input. MEAN, STD: of RGB in 0..1. STDS: of the offsets. NMS: the limits of `detect`.
    BUFFERS, FROZEN: names of tensors that are no parameters, and of parameters that do not learn. make_layers(): {folder: {name:
    module}} of modules without tensors.
    """

    CLASSES: tuple
    SIZE: tuple
    MEAN: tuple
    STD: tuple
    STDS: tuple
    NMS: dict
    BUFFERS: tuple
    FROZEN: tuple
    make_layers: Callable[[], dict]

    def __init__(self, tensors: dict[str, Tensor]):
        super().__init__()
        for name, tensor in tensors.items():
            *parts, last = name.split(".")
            part: Part = self
            for one in parts:
                if not hasattr(part, one):
                    part.add_module(one, Part())
                part = part[one]
            if name in self.BUFFERS:
                part.register_buffer(last, tensor)
            else:
                part.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=name not in self.FROZEN))
        for folder, layers in self.make_layers().items():
            self.add_module(folder, Part())
            for name, layer in layers.items():
                self[folder].add_module(name, layer)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return super()._apply(without_formats(fn), recurse)

    def prepare(self, images: Tensor) -> Tensor:
        """What `forward` takes, (B, 3, H, W), of RGB images (B, H, W, 3) uint8 of any size."""
        images = images.permute(0, 3, 1, 2).float()
        images = torch.nn.functional.interpolate(images, self.SIZE, mode="bilinear", align_corners=False)
        mean, std = (torch.tensor(v, device=images.device).reshape(3, 1, 1) for v in (self.MEAN, self.STD))
        return (images / 255 - mean) / std

    @torch.no_grad()
    def detect(self, images: Tensor, score: float = 0.5) -> list[dict]:
        """The objects in RGB images (B, H, W, 3) uint8: for each image a dict of boxes (M, 4), corners in its pixels; scores
        (M,); class_ids (M,); best first. Those that score less than `score` are left out."""
        height, width = images.shape[1:3]
        logits, offsets, anchors = self(self.prepare(images))
        scale = torch.tensor([width / self.SIZE[1], height / self.SIZE[0]] * 2)
        found = []
        for scores, boxes in zip(logits.float().softmax(-1).cpu(), decode(offsets.float(), anchors, self.STDS).cpu()):
            boxes, scores, ids = suppress(boxes, scores[:, 1:], **self.NMS)
            good = scores >= score
            found.append({"boxes": boxes[good] * scale, "scores": scores[good], "class_ids": ids[good]})
        return found


def decode(offsets: Tensor, anchors: Tensor, stds: tuple) -> Tensor:
    """Boxes (B, N, 4), corners, of offsets (B, N, 4) from anchors (1, N, 4) in center form."""
    scale = torch.tensor(stds, device=offsets.device)
    center = offsets[..., :2] * scale[:2] * anchors[..., 2:] + anchors[..., :2]
    half = (offsets[..., 2:] * scale[2:]).exp() * anchors[..., 2:] / 2
    return torch.cat([center - half, center + half], -1)


def suppress(boxes: Tensor, scores: Tensor, thresh: float, topk: int, post: int, minimum: float) -> tuple[Tensor, Tensor, Tensor]:
    """NMS: boxes (M, 4), scores (M,) and class ids (M,) out of boxes (N, 4) and scores (N, C), best first.

    The best `topk` of all classes whose score is above `minimum` enter. Each drops those after it of its class that overlap it by
    an IoU above `thresh`. The first `post` are left.
    """
    by_class = scores.t().reshape(-1)
    order = by_class.sort(descending=True, stable=True).indices
    order = order[by_class[order] > minimum][: topk if topk > 0 else None]
    ids, boxes, scores = order // len(boxes), boxes[order % len(boxes)], by_class[order]
    first, second = torch.maximum(boxes[:, None, :2], boxes[:, :2]), torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    common = (second - first).clamp_min(0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(-1)
    overlap = (common / (area[:, None] + area - common) > thresh) & (ids[:, None] == ids)
    kept = torch.ones(len(order), dtype=torch.bool)
    for i in range(len(order) if 0 < thresh < 1 else 0):
        if kept[i]:
            kept[i + 1 :] &= ~overlap[i, i + 1 :]
    kept = kept.nonzero()[:, 0][: post if post > 0 else None]
    return boxes[kept], scores[kept], ids[kept]
