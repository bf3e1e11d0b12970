"""Box offsets relative to anchors, encoded and decoded; Liu et al. 2016, equation 2, with Caffe's variances.

With an anchor (cx, cy, w, h) and a box (gx, gy, gw, gh) in center form, the offsets are
    tx = (gx - cx) / w / stds[0]      tw = log(gw / w) / stds[2]
    ty = (gy - cy) / h / stds[1]      th = log(gh / h) / stds[3]
"""

from typing import Any

STDS = (0.1, 0.1, 0.2, 0.2)


def encode(F: Any, boxes: Any, anchors: Any, stds: tuple = STDS) -> Any:
    """Offsets (B, N, 4) of corner-form `boxes` (B, N, 4) from center-form `anchors` (1, N, 4), both in pixels.

    A box without width or height gives the finite offset of a box of 1e-6 pixels.
    """
    xmin, ymin, xmax, ymax = F.split(boxes, axis=-1, num_outputs=4)
    cx, cy, w, h = F.split(anchors, axis=-1, num_outputs=4)
    tx = F.broadcast_div(F.broadcast_sub((xmin + xmax) * 0.5, cx), w) / stds[0]
    ty = F.broadcast_div(F.broadcast_sub((ymin + ymax) * 0.5, cy), h) / stds[1]
    tw = F.log(F.broadcast_div(F.clip(xmax - xmin, 1e-6, 1e9), w)) / stds[2]
    th = F.log(F.broadcast_div(F.clip(ymax - ymin, 1e-6, 1e9), h)) / stds[3]
    return F.concat(tx, ty, tw, th, dim=-1)


def decode(F: Any, offsets: Any, anchors: Any, stds: tuple = STDS) -> Any:
    """Corner-form boxes (B, N, 4) in pixels of `offsets` (B, N, 4) from center-form `anchors` (1, N, 4)."""
    offsets, anchors = F.amp_multicast(offsets, anchors, num_outputs=2, cast_narrow=True)
    return F.contrib.box_decode(offsets, anchors, stds[0], stds[1], stds[2], stds[3], clip=-1, format="center")


def center_to_corner(F: Any, boxes: Any) -> Any:
    """Corner form (..., 4) of center-form boxes (..., 4)."""
    cx, cy, w, h = F.split(boxes, axis=-1, num_outputs=4)
    return F.concat(cx - w * 0.5, cy - h * 0.5, cx + w * 0.5, cy + h * 0.5, dim=-1)
