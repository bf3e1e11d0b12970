"""What a Detector and a comparison ask of a runtime."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ssdzoo.errors import ExportError, SSDZooError


class NoHeadOutputs(SSDZooError):
    """The model, or its runtime, gives detections alone; the message says why."""


class OutOfMemory(ExportError):
    """A batch does not fit into the memory of a GPU; a smaller one might."""


def run_error(text: str) -> ExportError:
    """What a backend raises when its runtime fails with such a text."""
    full = any(words in text for words in ("out of memory", "Failed to allocate memory"))
    return OutOfMemory(text) if full else ExportError(text)


class HeadOutputs(NamedTuple):
    """What the heads of an SSD give, before softmax, decoding and NMS.

    Attributes:
        logits: (B, N, C + 1) float32, background first; symbols of GluonCV's hold them as (B, C + 1, N).
        offsets: (B, N, 4) float32, or the same values as (B, 4 * N).
    """

    logits: np.ndarray
    offsets: np.ndarray


class Backend(Protocol):
    """Runs a network.

    Attributes:
        runtime: its name with its version, such as "onnxruntime 1.31.1 CPU".
        file: the ONNX file that it runs, or None.
        in_flight: how many threads may call it at once.
        on_gpu: it leaves the cores to others. Batches pay there.
        takes_pixels: it takes (B, H, W, 3) uint8 RGB, and normalizes pixels itself.
    """

    runtime: str
    in_flight: int
    on_gpu: bool
    takes_pixels: bool

    @property
    def file(self) -> Path | None: ...

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Detections of a batch: class ids (B, K, 1), scores (B, K, 1), boxes (B, K, 4) in pixels of the input, -1 where there
        is none.

        Args:
            images: (B, 3, H, W) float32, normalized; or those of `takes_pixels`.

        Raises:
            ExportError: the runtime can't run the network; OutOfMemory where it may run a smaller batch.
        """

    def head_outputs(self, images: np.ndarray) -> HeadOutputs:
        """The head outputs of a batch.

        Raises:
            NoHeadOutputs: it gives detections alone.
        """
