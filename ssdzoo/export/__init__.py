"""The way out of Gluon: symbols with their parameters, ONNX, and torch modules."""

from typing import Any


def __getattr__(name: str) -> Any:
    # onnx and torch are extras, and importing them takes a while.
    if name == "to_onnx":
        from ssdzoo.export.onnx import to_onnx

        return to_onnx
    if name == "to_torch":
        from ssdzoo.export.torch import to_torch

        return to_torch
    raise AttributeError(f"module 'ssdzoo.export' has no attribute {name!r}")
