"""What an exported `model.py` holds beside its network: the weights, images made ready, and detections.

An exported `model.py` holds this text, behind those of `operations` and `detection`, so nothing else but torch and Python's own
modules is imported here.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssdzoo.export.torch.detection import find_objects
from ssdzoo.export.torch.operations import normalize, sparing_anchors
from ssdzoo.formats.detection_rule import DetectionRule

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

    CLASSES: names. SIZE: (H, W) of the input. MEAN, STD: of RGB in 0..1. RULE: how objects are found, with the limits of NMS.
    BUFFERS, FROZEN: names of tensors that are no parameters, and of parameters that do not learn. make_layers(): {folder: {name:
    module}} of modules without tensors.
    """

    CLASSES: tuple
    SIZE: tuple
    MEAN: tuple
    STD: tuple
    RULE: DetectionRule
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
        return super()._apply(sparing_anchors(fn), recurse)

    def prepare(self, images: Tensor) -> Tensor:
        """What `forward` takes, (B, 3, H, W), of RGB images (B, H, W, 3) uint8 of any size."""
        images = images.permute(0, 3, 1, 2).float()
        images = torch.nn.functional.interpolate(images, self.SIZE, mode="bilinear", align_corners=False)
        return normalize(images / 255, self.MEAN, self.STD)

    @torch.no_grad()
    def detect(self, images: Tensor, score: float = 0.5) -> list[dict]:
        """The objects in RGB images (B, H, W, 3) uint8: for each image a dict of boxes (M, 4), corners in its pixels, cut at
        its borders; scores (M,); class_ids (M,); best first. Those that score less than `score` are left out."""
        height, width = images.shape[1:3]
        border = torch.tensor([width, height] * 2)
        scale = border / torch.tensor([self.SIZE[1], self.SIZE[0]] * 2)
        logits, offsets, anchors = self(self.prepare(images))
        found = []
        results = (values.cpu() for values in find_objects(logits, offsets, anchors, self.RULE, self.SIZE))
        for ids, scores, boxes in zip(*results):
            best = scores.sort(descending=True, stable=True).indices
            best = best[(ids[best] >= 0) & (scores[best] >= score)]
            ids, scores, boxes = ids[best], scores[best], boxes[best]
            boxes = torch.minimum((boxes * scale).clamp(min=0), border)
            found.append({"boxes": boxes, "scores": scores, "class_ids": ids.long()})
        return found
