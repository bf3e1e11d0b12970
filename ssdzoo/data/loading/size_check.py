"""The check that an image has the size that its annotation gives, made when it is decoded anyway."""

import numpy as np

from ssdzoo.data.formats.annotation import wrong_size
from ssdzoo.data.images import image_size
from ssdzoo.data.record import Record
from ssdzoo.errors import DataError


def check_size(record: Record, pixels: np.ndarray, reduction: int = 1) -> np.ndarray:
    """The decoded image of a record, (H, W, 3), if it has the record's size, in whose pixels the boxes are.

    Args:
        reduction: that it was decoded with; see `read_image`.

    Raises:
        DataError: it has another size.
    """
    claimed = record.height, record.width
    if pixels.shape[:2] not in (claimed, tuple(-(-side // reduction) for side in claimed)):
        found = pixels.shape[:2] if reduction == 1 else image_size(record.image)
        raise DataError(str(wrong_size(record.image, claimed, found)))
    return pixels
