"""How head outputs become detections: the numbers of a rule, whatever framework follows it.

An exported `model.py` holds this text, so nothing but Python's own modules is imported here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectionRule:
    """From head outputs to detections.

    Attributes:
        thresh: two boxes of one class with a higher IoU are one object; 0 or less, or 1 or more, is no NMS.
        topk: maximum number of candidates that enter the NMS, of all classes; -1 for all.
        post: maximum number of detections; -1 for all.
        score: a candidate scores more than this.
        stds: of the four box offsets.
        multi_box: as MultiBoxDetection does it: a candidate is an anchor with the class of its highest score, and `score` and
            `thresh` belong to what they separate from the rest: a candidate scores at least that, and boxes of that IoU are one
            object. Else every anchor is a candidate for each class.
        by_class: boxes of different classes are different objects.
        clip: boxes are cut at the borders of the input.
        scale_limit: maximum of the logarithm by which a box is wider or higher than its anchor; None for none.
    """

    thresh: float
    topk: int
    post: int
    score: float
    stds: tuple
    multi_box: bool = False
    by_class: bool = True
    clip: bool = False
    scale_limit: float | None = None
