"""A model as a folder that needs torch alone: model.py, model.safetensors and model.toml."""

import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType

import torch
from torch.fx import GraphModule

from ssdzoo.errors import CallError
from ssdzoo.export.heads import network_heads
from ssdzoo.export.rule import rule_of
from ssdzoo.export.torch import detection, operations, standalone
from ssdzoo.export.torch.code import forward_lines
from ssdzoo.export.torch.module import to_arrays, to_torch
from ssdzoo.files import replacing, write_text
from ssdzoo.formats import detection_rule
from ssdzoo.formats.array_files import write_safetensors
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.model_source import ModelSource, NetworkSource
from ssdzoo.preset import Preset
from ssdzoo.version import __version__
from ssdzoo.weights.torchvision_layout import torchvision_arrays

FILES = ("model.py", "model.safetensors", "model.toml")
_WIDTH = 120  # of the lines of model.py


def export_torch(source: ModelSource, folder: str | Path) -> Path:
    """Writes a model as model.py, model.safetensors and model.toml; returns the path of model.py.

        import model
        network = model.load()
        found = network.detect(images)

    Args:
        source: a preset, a table, a run, or an exported model.
        folder: for the files.

    Raises:
        CallError: an ONNX file.
        ExportError: a network that cannot be translated, or whose detections are of no known form.
        WeightsError: missing or wrong weights.
    """
    source = source.located()
    rule, folder = rule_of(source), Path(folder)
    module = to_torch(source)
    code = _code(module, source.preset, rule)
    write_safetensors(folder / "model.safetensors", to_arrays(module))
    write_text(folder / "model.toml", source.preset.to_toml())
    write_text(folder / "model.py", code)
    return folder / "model.py"


def export_torchvision(source: ModelSource, folder: str | Path) -> Path:
    """Writes a `ssd_300_vgg16_atrous` as `NAME.pth`, a state dict of torchvision's `ssd300_vgg16`, with its table `NAME.toml`;
    returns the path. See `ssdzoo.weights.torchvision_layout` for what is exact.

    Raises:
        CallError: an exported model, whose parameters have other names.
        ExportError: another network.
        WeightsError: missing or wrong weights.
    """
    if not isinstance(source, NetworkSource):
        raise CallError(f"{source.model} is an exported model: name the run, the table or the preset that it was made from")
    source = source.located()
    arrays = torchvision_arrays(network_heads(source.network())[1], source.preset, str(source.params))
    path = Path(folder) / f"{source.name}.pth"
    with replacing(path) as temporary:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, temporary)
    write_text(path.with_suffix(".toml"), source.preset.to_toml())
    return path


def _code(module: GraphModule, preset: Preset, rule: DetectionRule) -> str:
    """The text of model.py."""
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    values = {
        "CLASSES": preset.classes, "SIZE": preset.base_size, "MEAN": preset.mean, "STD": preset.std, "RULE": rule,
        "BUFFERS": tuple(name for name, _ in module.named_buffers()), "FROZEN": tuple(frozen),
    }  # fmt: skip
    body = "\n".join(_assignment(name, value) for name, value in values.items())
    layers = "\n".join(_layers(module))
    forward = "\n".join(f"        {line}" for line in forward_lines(module))
    name = re.sub(r"[^\w.+-]+", " ", preset.name)  # it comes from a file, and may not end the string
    return f'''"""SSD object detector {name}, written by ssdzoo {__version__}. It needs torch alone.

    import model
    network = model.load()                     # in evaluation mode; network.train() to go on training
    found = network.detect(images)             # RGB images (B, H, W, 3) uint8 -> boxes, scores and class ids of each
    logits, offsets, anchors = network(batch)  # of network.prepare(images)

Tensors have the names of the .params file: after training, save_file(network.state_dict(), "tuned.safetensors") and
`ssdzoo convert tuned.safetensors tuned.params --model model.toml` bring them back.
"""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

{_text(operations)}


{_text(detection_rule)}


{_text(detection)}


{_text(standalone)}


class SSD(Network):
{body}

    @staticmethod
    def make_layers() -> dict:
        return {{
{layers}
        }}

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits (B, N, C + 1), background first, box offsets (B, N, 4) and anchors (1, N, 4), center form, pixels."""
{forward}


def load(path: str | Path | None = None) -> SSD:
    """The network with the weights of a .safetensors file, by default the one beside this file; in evaluation mode."""
    return SSD(read_safetensors(path or Path(__file__).with_name("model.safetensors"))).eval()
'''


def _text(module: ModuleType) -> str:
    """The text of a module without its docstring and its imports."""
    lines = inspect.getsource(module).split('"""\n', 1)[1].splitlines()
    return "\n".join(line for line in lines if not line.startswith(("import ", "from "))).strip()


def _assignment(name: str, value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        words = ", ".join(map(repr, value)) + ","
        filled = textwrap.fill(words, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8, break_long_words=False)
        return f"    {name} = (\n{filled}\n    )"
    if isinstance(value, DetectionRule):
        arguments = "\n".join(f"        {key}={given!r}," for key, given in vars(value).items())
        return f"    {name} = DetectionRule(\n{arguments}\n    )"
    return f"    {name} = {value!r}"


def _layers(module: GraphModule) -> list[str]:
    """The lines of the dict of modules that hold no tensors."""
    lines = []
    for folder in ("norms", "dropouts"):
        found = dict(getattr(module, folder, torch.nn.Module()).named_children())
        lines.append(f"            {folder!r}: {{")
        lines += [f"                {name!r}: {_layer(layer)}," for name, layer in found.items()]
        lines.append("            },")
    return lines


def _layer(layer: torch.nn.Module) -> str:
    if isinstance(layer, operations.BatchNorm):
        return f"BatchNorm({layer.momentum}, {layer.eps}, {layer.frozen})"
    assert isinstance(layer, torch.nn.Dropout)
    return f"torch.nn.Dropout({layer.p})"
