"""ONNX files made on the fly, and kept beside the weights that they were made from."""

import hashlib
import os
from pathlib import Path

from ssdzoo.errors import CallError
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.export.pair import find_pair
from ssdzoo.files import user_cache
from ssdzoo.version import __version__


def cached_onnx(model, weights=None, ctx=None) -> Path:
    """The ONNX file of a run, a pair or a preset: made once, and again when weights or table change.

    It lies in `.onnx/` beside the weights, or in the user's cache where that folder can't be written.

    Raises:
        CallError, ExportError, WeightsError: as `export_onnx`.
    """
    pair = find_pair(model)
    if pair:
        files, text = [f for f in pair if f], ""
    else:
        from ssdzoo.predict.load import find_network, is_run
        from ssdzoo.weights.published import find_weights

        preset, params = find_network(model, weights)
        files, text = [find_weights(preset.name, params)], preset.to_toml()
        weights = files[0] if not is_run(model) else weights
    digest = hashlib.sha256(f"{__version__}\n{text}".encode())
    for file in files:
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest() if hasattr(hashlib, "file_digest") else stream.read())
    path = _folder(Path(files[0]).parent) / f"{digest.hexdigest()[:16]}.onnx"
    return path if path.is_file() else export_onnx(model, path, weights, ctx)


def _folder(beside: Path) -> Path:
    if not beside.is_dir():
        raise CallError(f"{beside}: no such folder")
    if os.access(beside, os.W_OK):
        return beside / ".onnx"
    return user_cache() / "onnx"
