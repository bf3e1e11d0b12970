"""What a detector found in one image."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdzoo.boxes import as_boxes
from ssdzoo.errors import CallError

SCORE_THRESHOLD = 0.01  # what scores no more is nothing; of the SSD paper, section 2.2; GluonCV's too


@dataclass(frozen=True)
class Detections:
    """Objects in one image, best first: whoever makes one sorts it by score, and it is not sorted again here.

    A mask, a slice or an array of indices selects some of them:

        found = ssdzoo.load("ssd_512_resnet50_v1_voc")(["photo.jpg"])[0]
        sure = found[found.scores > 0.8]
        dogs = found[found.class_ids == found.names.index("dog")]
        best = found[:3].to_list()

    Attributes:
        boxes: (N, 4) float32, xyxy pixels of the image, 0-based.
        scores: (N,) float32, 0 to 1, falling.
        class_ids: (N,) int32, from 0.
        names: the names of all classes.

    Raises:
        CallError: other shapes, boxes or scores that are not finite, ids that are not whole numbers or have no name.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    names: tuple

    def __post_init__(self):
        put = object.__setattr__
        shape, ids = np.shape(self.boxes), np.array(self.class_ids, np.float64).reshape(-1)
        if np.size(self.boxes) and (len(shape) != 2 or shape[1] != 4):
            raise CallError(f"boxes must be (N, 4), got {shape}")
        if not (ids == np.floor(ids)).all():
            raise CallError(f"class ids must be whole numbers, got {ids[ids != np.floor(ids)][0]}")
        put(self, "boxes", as_boxes(self.boxes))
        put(self, "scores", np.array(self.scores, np.float32).reshape(-1))
        put(self, "class_ids", np.array(self.class_ids, np.int32).reshape(-1))
        put(self, "names", tuple(self.names))
        if not len(self.boxes) == len(self.scores) == len(self.class_ids):
            counts = f"{len(self.boxes)} boxes, {len(self.scores)} scores, {len(self.class_ids)} class ids"
            raise CallError(f"{counts}: expected as many of each")
        for what in ("boxes", "scores"):
            values = getattr(self, what)
            if not np.isfinite(values).all():
                raise CallError(f"{what} must be finite, got {values[~np.isfinite(values)][0]}")
        if len(self) and not 0 <= self.class_ids.min() <= self.class_ids.max() < len(self.names):
            raise CallError(f"class ids {sorted(set(self.class_ids.tolist()))} don't fit {len(self.names)} names")

    @classmethod
    def empty(cls, names: Iterable[str]) -> "Detections":
        """No objects at all."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0), tuple(names))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, which: Any) -> "Detections":
        """Those of a (N,) bool mask, a slice, an array of indices, or one index."""
        keep = np.arange(len(self))[which].reshape(-1)
        return Detections(self.boxes[keep], self.scores[keep], self.class_ids[keep], self.names)

    @property
    def labels(self) -> list[str]:
        """The N class names."""
        return [self.names[i] for i in self.class_ids]

    def above(self, score: float) -> "Detections":
        """Those with at least `score`."""
        return self[self.scores >= score]

    def to_list(self) -> list[dict]:
        """For JSON: [{"class", "class_id", "score", "box": [xmin, ymin, xmax, ymax]}], boxes in pixels."""
        rows = zip(self.labels, self.class_ids.tolist(), self.scores.tolist(), self.boxes.tolist())
        return [
            {"class": name, "class_id": int(i), "score": round(s, 6), "box": [round(v, 2) for v in box]}
            for name, i, s, box in rows
        ]
