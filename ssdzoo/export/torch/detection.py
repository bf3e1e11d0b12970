"""From head outputs to detections in plain torch operators, for a batch at once, on any device.

As MXNet's `box_nms` and `MultiBoxDetection` do it; a `ssdzoo.formats.detection_rule.DetectionRule` says which, with what limits.
The backend torch runs this, and an exported `model.py` holds this text, so nothing else but the rule is imported here.
"""

import torch
from torch import Tensor

from ssdzoo.formats.detection_rule import DetectionRule

_BLOCK = 1024  # candidates whose overlaps are computed at once: more would take gigabytes


def find_objects(
    logits: Tensor, offsets: Tensor, anchors: Tensor, rule: DetectionRule, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Class ids (B, K), scores (B, K) and boxes (B, K, 4) in pixels of the input, float32, best first; -1 where there is none.

    Args:
        logits: (B, N, C + 1), background first.
        offsets: (B, N, 4).
        anchors: (1, N, 4), center form, pixels.
        rule: how detections are found.
        size: (H, W) of the input in pixels.
    """
    logits, offsets, anchors = logits.float(), offsets.float(), anchors.float()
    scores = logits.softmax(-1)[..., 1:]
    boxes = decode(offsets, anchors, rule.stds, rule.scale_limit)
    if rule.clip:
        x, y = boxes.unflatten(2, (2, 2)).unbind(3)
        boxes = torch.stack([x.clamp(0, size[1]), y.clamp(0, size[0])], 3).flatten(2)
    if rule.multi_box:
        scores, ids = _best_class(scores)
        valid = scores >= rule.score
    else:
        anchor_count, classes = scores.shape[1:]
        scores = scores.transpose(1, 2).flatten(1)  # (B, C * N): ties keep the order of classes, then anchors
        ids = torch.arange(classes, device=scores.device).repeat_interleave(anchor_count).expand_as(scores)
        valid = scores > rule.score
    scores = torch.where(valid, scores, 0.0)
    suppress = 0 < rule.thresh <= 1 if rule.multi_box else 0 < rule.thresh < 1
    if not suppress and not rule.multi_box:  # MXNet leaves all candidates, unsorted
        boxes = boxes.repeat(1, classes, 1)
        return _filled(ids, scores, boxes, valid)
    count = rule.topk if suppress and rule.topk > 0 else max(1, int(valid.sum(1).max()))  # the rest are -1 in any case
    scores, order = top_candidates(scores, count)
    ids, valid = ids.gather(1, order), valid.gather(1, order)
    boxes = _rows(boxes, order % boxes.shape[1])
    if suppress:
        valid = survivors(boxes, ids if rule.by_class else None, valid, rule.thresh, inclusive=rule.multi_box)
    kept = _first(valid, rule.post)
    return _filled(ids.gather(1, kept), scores.gather(1, kept), _rows(boxes, kept), valid.gather(1, kept))


def decode(offsets: Tensor, anchors: Tensor, stds: tuple, scale_limit: float | None = None) -> Tensor:
    """Corners (B, N, 4) of `offsets` (B, N, 4) from center-form `anchors` (1, N, 4): Liu et al. 2016, equation 2.

    Args:
        stds: of the four offsets.
        scale_limit: maximum of the logarithm by which a box is wider or higher than its anchor.
    """
    center, size = anchors[..., :2], anchors[..., 2:]
    # No tensor is made of the numbers: a GPU would wait for its copy.
    dx, dy, wider, higher = (offset * std for offset, std in zip(offsets.unbind(-1), stds))
    middle = torch.stack([dx, dy], -1) * size + center
    grow = torch.stack([wider, higher], -1)
    if scale_limit is not None:
        grow = grow.clamp(max=scale_limit)
    half = grow.exp() * size * 0.5
    return torch.cat([middle - half, middle + half], -1)


def top_candidates(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best `count` of scores (B, M), which are not negative: scores (B, K) and their indices (B, K), best first, of equal
    ones the first. `torch.topk` leaves open which of equal ones it takes."""
    total = scores.shape[1]
    # The bits of a positive float grow with it. Below them stands the index, so that no two keys are equal.
    bits = scores.contiguous().view(torch.int32).to(torch.int64)
    keys = (bits << 32) | torch.arange(total - 1, -1, -1, device=scores.device)
    order = keys.topk(min(count, total), 1).indices
    return scores.gather(1, order), order


def survivors(boxes: Tensor, ids: Tensor | None, valid: Tensor, thresh: float, inclusive: bool = False) -> Tensor:
    """(B, K) bool: the candidates that NMS keeps.

    Args:
        boxes: (B, K, 4) corners, best first.
        ids: (B, K) classes; boxes of different classes don't suppress each other. None for one class.
        valid: (B, K) bool, the candidates that take part.
        thresh: a candidate is dropped where its IoU with a better one that is kept is above this.
        inclusive: also where it is exactly this.
    """
    kept, count = valid.clone(), boxes.shape[1]

    def overlaps(first: slice, second: slice) -> Tensor:
        found = iou(boxes[:, first], boxes[:, second])
        found = found >= thresh if inclusive else found > thresh
        return found if ids is None else found & (ids[:, first, None] == ids[:, None, second])

    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        kept[:, block] = _settle(overlaps(block, block).triu(1), kept[:, block])
        for later in range(start + _BLOCK, count, _BLOCK):
            rest = slice(later, later + _BLOCK)
            kept[:, rest] &= ~(overlaps(block, rest) & kept[:, block, None]).any(1)
    return kept


def _settle(overlap: Tensor, valid: Tensor) -> Tensor:
    """(B, K) bool: those of `valid` that no better one drops that is kept itself.

    `overlap` (B, K, K) is true where the first, better one would drop the second. After n rounds the first n are settled, and
    the others as soon as those are on which they depend: that takes a few rounds, where a loop over boxes would take K steps.
    """
    kept = valid
    while True:
        now = valid & ~(overlap & kept[:, :, None]).any(1)
        if torch.equal(now, kept):
            return now
        kept = now


def iou(a: Tensor, b: Tensor) -> Tensor:
    """(B, N, M) intersection over union of boxes (B, N, 4) and (B, M, 4); NaN where both are empty, which is above no
    threshold."""
    a, b = a[:, :, None], b[:, None]
    width = (torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    height = (torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])).clamp(min=0)
    intersection = width * height
    return intersection / (_area(a) + _area(b) - intersection)


def _area(boxes: Tensor) -> Tensor:
    """Of boxes (..., 4); 0 where one is turned inside out."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def _best_class(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The highest of the scores (B, N, C) of each anchor, (B, N), and its class, of equal ones the first, (B, N)."""
    best, classes = scores.amax(-1), torch.arange(scores.shape[-1], device=scores.device)
    return best, torch.where(scores == best[..., None], classes, scores.shape[-1]).amin(-1)


def _rows(boxes: Tensor, indices: Tensor) -> Tensor:
    """(B, K, 4) of boxes (B, N, 4) at indices (B, K)."""
    return boxes.gather(1, indices[..., None].expand(-1, -1, 4))


def _first(kept: Tensor, count: int) -> Tensor:
    """(B, K) indices that move those of `kept` (B, M) to the front, in their order; the first `count` of these where it is
    positive."""
    total = kept.shape[1]
    ranks = torch.arange(total, 0, -1, device=kept.device)
    ranks = torch.where(kept, ranks, ranks - total)  # no two are equal
    return ranks.topk(min(count, total) if count > 0 else total, 1).indices


def _filled(ids: Tensor, scores: Tensor, boxes: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three in float32, -1 where nothing was found."""
    ids, scores = (torch.where(found, x.to(torch.float32), -1.0) for x in (ids, scores))
    return ids, scores, torch.where(found[..., None], boxes, -1.0)
