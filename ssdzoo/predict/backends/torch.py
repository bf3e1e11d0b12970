"""PyTorch as a backend: modules of `to_torch`, on the CPU and on GPUs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.export.rule import rule_of
from ssdzoo.export.torch.detection import find_objects
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.machine import cores, count_as_driver
from ssdzoo.model_source import ModelSource
from ssdzoo.predict.backends.protocol import HeadOutputs, run_error
from ssdzoo.preset import Preset, pixel_factors
from ssdzoo.quote import short
from ssdzoo.runtime import free_threads

BF16_SINCE = (8, 0)  # compute capability of GPUs: Ampere
_TYPES = {"f32": None, "bf16": torch.bfloat16, "f16": torch.float16}
_PRECISION = threading.Lock()  # that of convolutions is set for the whole process


class TorchBackend:
    """Runs a module on the device of its parameters; see `protocol.Backend`.

    With bf16 or f16 the network runs in it, and softmax, decoding and NMS in float32, because bf16 would round boxes to whole
    pixels.

    Args:
        module: of `to_torch`, also compiled. It is called as it is: one that is trained must be in evaluation mode, or its batch
            norms use and move statistics. Images (B, 3, H, W) float32 give logits (B, N, C + 1), offsets (B, N, 4) and anchors
            (1, N, 4).
        preset: gives mean and std.
        rule: how its detections are found; see `ssdzoo.export.rule`.
        precision: "f32", "bf16" or "f16".
        steady: the number of threads stays, as in a training; else it follows the cores that other programs leave free.

    Raises:
        ExportError: when it is called, and torch can't run the module.
    """

    file: Path | None = None
    takes_pixels = True

    def __init__(self, module: torch.nn.Module, preset: Preset, rule: DetectionRule, precision: str = "f32",
                 steady: bool = False):  # fmt: skip
        self._module, self._rule, self.precision = module, rule, precision
        self._device = next(module.parameters()).device
        self.on_gpu = self._device.type != "cpu"
        self.in_flight = 2 if self.on_gpu else 1  # one batch is handed over while the GPU computes another
        self._steady = steady or self.on_gpu
        factors = (torch.from_numpy(each.reshape(3, 1, 1)) for each in pixel_factors(preset.mean, preset.std))
        self._scale, self._shift = (each.to(self._device) for each in factors)
        last = torch.channels_last  # the weights of a 1x1 convolution lie in both orders
        reordered = any(p.ndim == 4 and p.is_contiguous(memory_format=last) > p.is_contiguous() for p in module.parameters())
        self._format = last if reordered else torch.contiguous_format
        name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type.upper()
        self.runtime = f"torch {torch.__version__.partition('+')[0]} {name} {precision}"

    def __call__(self, images: np.ndarray) -> tuple:
        with self._running():
            logits, offsets, anchors = self._heads(images)
            return as_arrays(find_objects(logits, offsets, anchors, self._rule, (images.shape[1], images.shape[2])))

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        with self._running():
            logits, offsets, _ = self._heads(images)
            return HeadOutputs(*(outputs.float().cpu().numpy() for outputs in (logits, offsets)))

    def _heads(self, images: np.ndarray) -> tuple:
        # An image travels as bytes, which are a quarter of its floats.
        pixels = to_device(images, self._device).permute(0, 3, 1, 2).float()  # channels last in memory
        batch = (pixels * self._scale + self._shift).contiguous(memory_format=self._format)
        if half := _TYPES[self.precision]:
            with torch.autocast(self._device.type, half):
                return self._module(batch)
        with without_tf32() if self._device.type == "cuda" else nullcontext():
            return self._module(batch)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Without gradients.

        The number of threads is set back: where mxnet's oneDNN runs a layer first with fewer threads, it fails with more of them.
        """
        threads = torch.get_num_threads()
        if not self._steady and (count := free_threads()) is not None:
            torch.set_num_threads(count)
        try:
            with torch.no_grad():
                yield
        except RuntimeError as error:
            raise run_error(f"torch can't run the network: {short(str(error).strip().splitlines()[0], 300)}") from None
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on a device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor.to(device)
    # The copy is not waited for. torch keeps the pinned memory until it is done, and the array itself is free at once. Each
    # thread has a card of its own, the first one by default, on which pinning would take memory.
    with torch.cuda.device(device):
        return tensor.pin_memory().to(device, non_blocking=True)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Convolutions that the block starts on GPUs compute in float32; by default torch rounds their inputs to TF32. Other threads
    wait for its end."""
    # Since 2.9 each operator has a precision, and `allow_tf32` raises an error where the user has set one of them.
    each = getattr(torch.backends.cudnn, "conv", None)
    place: Any = each or torch.backends.cudnn
    name, exact = ("fp32_precision", "ieee") if each else ("allow_tf32", False)
    with _PRECISION:
        before = getattr(place, name)
        try:
            setattr(place, name, exact)
            yield
        finally:
            setattr(place, name, before)


def open_torch(source: ModelSource, ctx: Any = None, precision: str = "f32") -> TorchBackend:
    """The backend of a model, with its weights.

    Args:
        source: of `ssdzoo.model_source.resolve`, with its weights located; no `.onnx`.
        ctx: see `torch_device`.
        precision: "f32", "bf16" or "f16".

    Raises:
        CallError: bf16 on a GPU without it.
        ExportError: a graph that can't be translated, or whose detections are of no known form.
        SSDZooError: there is no such device.
        WeightsError: missing or wrong weights.
    """
    from ssdzoo.export.torch import to_torch

    device = torch_device(ctx)
    if precision == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability(device) < BF16_SINCE:
        raise CallError(f"precision bf16: {torch.cuda.get_device_name(device)} does not have it; use f16 or f32")
    rule = rule_of(source)
    if device.type == "cpu":
        torch.set_num_threads(cores())
    elif device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # images have one size
    module: Any = to_torch(source).to(device)  # torch's hints don't know memory_format
    return TorchBackend(module.to(memory_format=torch.channels_last), source.preset, rule, precision)


def as_arrays(found: tuple[Tensor, Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The results of `find_objects` as a backend returns them: class ids (B, K, 1), scores (B, K, 1), boxes (B, K, 4); in one
    transfer."""
    ids, scores, boxes = found
    rows = torch.cat([ids[..., None], scores[..., None], boxes], -1).cpu().numpy()
    return rows[..., :1], rows[..., 1:2], rows[..., 2:]


def torch_device(ctx: Any = None) -> torch.device:
    """The device of a context.

    Args:
        ctx: None for the CPU, a device of torch or its name, a context of mxnet, or a list of these, of which the first counts.

    Raises:
        CallError: none of these.
        SSDZooError: this torch has no CUDA, or the machine no such GPU.
    """
    first = ctx[0] if isinstance(ctx, (list, tuple)) else ctx
    if hasattr(first, "device_type"):  # of mxnet
        first = f"cuda:{first.device_id}" if first.device_type == "gpu" else "cpu"
    try:
        device = torch.device("cpu" if first is None else first)
    except (RuntimeError, TypeError):
        raise CallError(f"ctx={first!r}: expected a device of torch, such as cpu or cuda:0") from None
    if device.type == "cuda":
        count_as_driver()
        _check_cuda(device)
    return device


def _check_cuda(device: torch.device) -> None:
    if not torch.cuda.is_available():
        why = "torch sees no GPU (nvidia-smi shows whether the driver does)"
        if torch.version.cuda is None:
            why = "this torch has no CUDA: pip uninstall -y torch && pip install torch"
        raise SSDZooError(f"{device}: {why}")
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise SSDZooError(f"{device}: there is no such GPU; torch sees {count}")
