"""The way out of Gluon: symbols with their parameters, and ONNX."""

from typing import Any


def __getattr__(name: str) -> Any:
    # onnx is an extra, and importing it takes a while.
    if name == "to_onnx":
        from ssdzoo.export.onnx import to_onnx

        return to_onnx
    raise AttributeError(f"module 'ssdzoo.export' has no attribute {name!r}")
