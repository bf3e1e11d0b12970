"""ONNX files made on the fly, and kept beside the weights that they were made from."""

import os
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.files import user_cache
from ssdzoo.model_source import ModelSource, SymbolSource, installed_backends
from ssdzoo.version import __version__


def cached_onnx(source: ModelSource, ctx: Any = None) -> Path:
    """The ONNX file of a model: made once, and again when its weights or its table change.

    It lies in `.onnx/` beside the weights, or in the user's cache where that folder can't be written.

    Raises:
        CallError, ExportError, WeightsError: as `export_onnx`.
    """
    path = _folder(source.files[0].parent) / f"{source.digest(__version__)[:16]}.onnx"
    if path.is_file():
        return path
    found: dict[str, Any] = {}
    is_whole = not isinstance(source, SymbolSource) or {"base_size", "classes"} <= source.known.keys()
    if not is_whole and "mxnet" in installed_backends():  # which finds out what a Detector needs
        found = {"size": source.preset.base_size, "classes": source.preset.classes}
    return export_onnx(source, path, ctx=ctx, **found)


def _folder(beside: Path) -> Path:
    if not beside.is_dir():
        raise CallError(f"{beside}: no such folder")
    if os.access(beside, os.W_OK):
        return beside / ".onnx"
    return user_cache() / "onnx"
