"""SSD object detectors on MXNet: build them by name, fine-tune them, export them."""

from importlib import import_module
from typing import Any

from ssdzoo import runtime
from ssdzoo.version import __version__

# The public names, and where each lives. They are imported when first used, so that `import ssdzoo` is quick and what
# does not need mxnet works without it.
_HOME = {
    "Detections": "ssdzoo.detections",
    "Detector": "ssdzoo.predict.detector",
    "SSD": "ssdzoo.network",
    "evaluate": "ssdzoo.measure.evaluate",
    "fine_tune": "ssdzoo.train.fine_tune",
    "get_model": "ssdzoo.build",
    "get_ssd": "ssdzoo.build",
    "list_models": "ssdzoo.zoo",
    "load": "ssdzoo.predict.load",
}
_MODULES = ("data", "export", "metrics", "nn", "weights")

__all__ = ["__version__", *_HOME, *_MODULES]

# From here on `import mxnet` and `import gluoncv` work too, with the numpy and the Python of today.
runtime.prepare()


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"ssdzoo.{name}")
    raise AttributeError(f"module 'ssdzoo' has no attribute {name!r}")


def __dir__() -> list:
    return sorted(__all__)
