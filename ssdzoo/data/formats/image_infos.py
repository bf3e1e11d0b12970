"""What is known of the images of a data set before they are decoded: from their annotation, the index, or their header."""

import os
from pathlib import Path

import numpy as np

from ssdzoo.data.formats.annotation import ImageAnnotation
from ssdzoo.data.images import FilePart, ImageInfo, image_info
from ssdzoo.data.index import load_index, save_index
from ssdzoo.errors import DataError


class ImageInfos:
    """Looks at the images of a data set. Those of a large one are not opened where the annotation gives their size, or where they
    are in the index and have not changed since.

    Args:
        path: of the data set.
    """

    def __init__(self, path: Path, is_large: bool):
        self._source, self._new = [str(path.resolve())], dict[str, tuple]()
        found = (load_index("images", self._source) if is_large else None) or {}
        self._is_large, self._rows = is_large, found.get("rows", np.zeros((0, 5), np.int64))
        self._places = {name: i for i, name in enumerate(found.get("names", []))}

    def of(self, annotation: ImageAnnotation) -> ImageInfo | DataError:
        """What is known of an annotation's image, or the error that is there instead."""
        image, claimed = annotation.image, annotation.size
        if self._is_large and claimed and all(0 < side < 2**31 and side == int(side) for side in claimed):
            return ImageInfo(int(claimed[0]), int(claimed[1]))
        stamp = _stamp(image) if self._is_large else ()
        place = self._places.get(str(image)) if stamp else None
        if place is not None and tuple(self._rows[place, :2].tolist()) == stamp:
            return ImageInfo(*self._rows[place, 2:].tolist())
        try:
            info = image_info(image)
        except DataError as error:
            return error
        if stamp:
            self._new[str(image)] = *stamp, *info
        return info

    def save(self) -> None:
        """Keeps what is new."""
        if not self._new:
            return
        names = [name for name in self._places if name not in self._new]
        kept = self._rows[[self._places[name] for name in names]]
        rows = np.concatenate([kept, np.array(list(self._new.values()), np.int64)])
        save_index("images", self._source, len(rows), {"names": [*names, *self._new], "rows": rows})


def _stamp(image: Path | FilePart) -> tuple:
    """Size in bytes and time of change of an image's file; empty where it is missing."""
    try:
        status = os.stat(image.path if isinstance(image, FilePart) else image)
    except (OSError, ValueError):
        return ()
    return status.st_size, status.st_mtime_ns
