"""Images that are taken from those to train on, where a data set has none to evaluate on."""

import hashlib
import unicodedata
from collections import Counter
from pathlib import Path

from ssdzoo.data.record import Dataset, Record

SHARE = 0.15  # of the images
FEWEST = 8  # of fewer images none are held out: each of them is worth more for the training


def hold_out(dataset: Dataset, share: float = SHARE) -> tuple[Dataset, Dataset | None]:
    """Divides the images of a data set into those to train on and those to evaluate on.

    Those with the lowest hashes of their names are held out, so that most stay where they are when others are added, in whatever
    folder they lie. An image with the last object of a class stays in the training.

    Args:
        dataset: at least one image.
        share: of the images that are held out.

    Returns:
        (train, val); val is None where there are fewer than FEWEST images, or none of them with an object can be spared.
    """
    count = round(share * len(dataset)) if len(dataset) >= FEWEST else 0
    records = list(dataset.records)
    left = Counter(int(c) for record in records for c in record.class_ids)
    chosen: set[int] = set()
    for i in sorted(range(len(records)), key=lambda i: _hash(records[i])):
        own = Counter(records[i].class_ids.tolist())
        if len(chosen) < count and all(left[c] > number for c, number in own.items()):
            chosen.add(i)
            left -= own
    val = [records[i] for i in sorted(chosen)]
    if all(record.crowd.all() for record in val):  # none, or none with an object to find
        return dataset, None
    train = [record for i, record in enumerate(records) if i not in chosen]
    return Dataset(dataset.names, train, dataset.problems), Dataset(dataset.names, val, [])


def _hash(record: Record) -> tuple[bytes, str]:
    """What the images are sorted by: the hash of the name alone, then the whole path, where two have one name."""
    path = str(record.image)
    name = unicodedata.normalize("NFC", Path(path).name)
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest(), path
