"""What a detector found in one image."""

from dataclasses import dataclass

import numpy as np

from ssdzoo.boxes import as_boxes


@dataclass(frozen=True)
class Detections:
    """Objects in one image, best first.

    Attributes:
        boxes: (N, 4) float32, xyxy pixels of the image, 0-based.
        scores: (N,) float32, 0 to 1, falling.
        class_ids: (N,) int32, from 0.
        names: the names of all classes.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    names: tuple

    def __post_init__(self):
        put = object.__setattr__
        put(self, "boxes", as_boxes(self.boxes))
        put(self, "scores", np.array(self.scores, np.float32).reshape(-1))
        put(self, "class_ids", np.array(self.class_ids, np.int32).reshape(-1))
        put(self, "names", tuple(self.names))
        if not len(self.boxes) == len(self.scores) == len(self.class_ids):
            counts = f"{len(self.boxes)} boxes, {len(self.scores)} scores, {len(self.class_ids)} class ids"
            raise ValueError(f"{counts}: expected as many of each")
        if len(self) and not 0 <= self.class_ids.min() <= self.class_ids.max() < len(self.names):
            raise ValueError(f"class ids {sorted(set(self.class_ids.tolist()))} don't fit {len(self.names)} names")

    @classmethod
    def empty(cls, names) -> "Detections":
        """No objects at all."""
        return cls([], [], [], names)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def labels(self) -> list:
        """(N,) names."""
        return [self.names[i] for i in self.class_ids]

    def above(self, score: float) -> "Detections":
        """Those with at least `score`."""
        keep = self.scores >= score
        return Detections(self.boxes[keep], self.scores[keep], self.class_ids[keep], self.names)

    def to_dict(self) -> list:
        """For JSON: [{"class", "class_id", "score", "box": [xmin, ymin, xmax, ymax]}]."""
        return [
            {"class": name, "class_id": int(i), "score": round(float(s), 6), "box": [round(float(v), 2) for v in box]}
            for name, i, s, box in zip(self.labels, self.class_ids, self.scores, self.boxes)
        ]
