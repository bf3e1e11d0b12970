"""Opens files of weights, of any format."""

import os
from io import BufferedReader
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.files import open_file
from ssdzoo.machine import memory


def open_weights(path: str | Path) -> BufferedReader:
    """Opens a file of weights, to be read as bytes.

    Raises:
        WeightsError: missing, no regular file, may not be read, or larger than the memory of this machine, such as a file of
            40 GB that has a length and no content.
    """
    try:
        file = open_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    size, limit = os.fstat(file.fileno()).st_size, memory()
    if limit and size > limit:
        file.close()
        raise WeightsError(f"{path}: {size >> 20:,} MiB are more than the {limit >> 20:,} MiB of this machine's memory")
    return file
