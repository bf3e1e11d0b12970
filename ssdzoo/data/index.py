"""The index: what was read from large annotation files, as arrays in the user's cache, so that it is read once."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from ssdzoo.files import open_file, replacing, user_cache
from ssdzoo.version import __version__

MANY = 1000  # images from which on an index is kept, and sizes of images are taken from their annotations
_VERSION = (2, __version__)  # of what is in the files


def load_index(kind: str, source: list) -> dict | None:
    """What `save_index` kept; None where nothing was, or where it is damaged."""
    try:
        with open_file(_place(kind, source)) as opened, np.load(opened, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        plain = json.loads(content.pop("plain").tobytes())
        made_from = plain.pop("source")
    except Exception:  # missing, cut off, of another program: what a damaged archive raises has no end
        return None
    return {**content, **plain} if made_from == [*_VERSION, *source] else None


def save_index(kind: str, source: list, images: int, content: dict) -> None:
    """Keeps arrays and plain values; does nothing for a small data set, or where the cache cannot be written.

    Args:
        kind: of the content.
        source: what it was made from, as plain values: a path, of which one version is kept, and its size and time of change.
        images: how many it is about.
    """
    if images < MANY:
        return
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    plain = {"source": [*_VERSION, *source], **{name: value for name, value in content.items() if name not in arrays}}
    text = np.frombuffer(json.dumps(plain).encode("utf-8", "surrogatepass"), np.uint8)
    try:
        with replacing(_place(kind, source)) as path:
            np.savez(path, plain=text, **arrays)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        logging.getLogger(__name__).debug("no index: %s", error)


def _place(kind: str, source: list) -> Path:
    digest = hashlib.sha256(str(source[0]).encode("utf-8", "surrogatepass"))
    return user_cache() / "index" / f"{kind}-{digest.hexdigest()[:32]}.npz"
