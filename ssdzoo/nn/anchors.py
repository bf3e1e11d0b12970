"""Anchor (default box) generators: Liu et al. 2016, section 2.2, "Choosing scales and aspect ratios for default boxes"."""

from typing import Any

import numpy as np

from ssdzoo.anchors.levels import Level
from ssdzoo.boxes import anchor_grid, anchor_shapes, listed_shapes, lite_shapes
from ssdzoo.errors import CallError
from ssdzoo.nn.parameters import Fixed, current_value
from ssdzoo.runtime import mx


class SSDAnchorGenerator(mx.gluon.HybridBlock):
    """The anchors of one feature map, in center form and pixels of the network input.

    In each grid cell, in this order: a square of `sizes[0]`, a square of sqrt(sizes[0] * sizes[1]), then for every ratio
    after the first a box of area sizes[0]^2 with width / height = ratio.

    Args:
        index: number of the feature map, 0 for the finest.
        im_size: (H, W) of the network input; clips the anchors where `clip` is set.
        sizes: (size of this feature map's anchors, size of the next one's) in pixels.
        ratios: aspect ratios width / height; the first must be 1.
        step: distance of neighboring anchor centers in pixels, one number or (vertical, horizontal).
        alloc_size: (H, W) of the largest feature map that the stored anchors cover.
        offsets: (vertical, horizontal) position of the center within its grid cell, in grid cells.
        clip: limits centers and sizes to the input.

    The anchors are a constant parameter (1, 1, alloc H, alloc W, 4 * num_depth), float32, so that a parameter file holds the
    anchors that its model was trained with. Calling the block with a feature map (B, C, H, W) returns (1, H * W * num_depth, 4),
    one row of grid cells after the other.
    """

    def __init__(self, index: int, im_size: tuple, sizes: Any, ratios: Any, step: Any, alloc_size: tuple = (128, 128),
                 offsets: tuple = (0.5, 0.5), clip: bool = False, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self._index = index
        self._im_size = im_size
        self._clip = clip
        self._shapes = self._box_shapes(sizes, ratios)
        steps = (step, step) if np.isscalar(step) else tuple(step)
        with self.name_scope():
            self.anchors = self.params.get_constant(f"anchor_{index}", self._grid(self._shapes, steps, offsets, alloc_size))

    def _box_shapes(self, sizes, ratios):
        """(num_depth, 2) float64: width and height of each anchor of a grid cell."""
        return anchor_shapes(sizes[0], np.sqrt(sizes[0] * sizes[1]), ratios)

    @staticmethod
    def _grid(shapes: np.ndarray, steps: tuple, offsets: tuple, alloc_size: tuple) -> np.ndarray:
        """(1, 1, H, W, 4 * num_depth) float64. Computed in float64 and rounded once, so that it equals GluonCV's to
        the last bit."""
        return anchor_grid(shapes, steps, offsets, alloc_size).reshape(1, 1, *alloc_size, -1)

    @property
    def num_depth(self) -> int:
        """Anchors in each grid cell."""
        return len(self._shapes)

    def grow(self, height: int, width: int) -> None:
        """Extends the stored anchors to a feature map of height x width, keeping those that are there.

        Shapes, steps and offsets are read back from the stored anchors, because a loaded file may hold others.
        """
        stored = self._stored()
        old_height, old_width = stored.shape[2:4]
        grown = self._grid(*self.layout(), (max(height, old_height), max(width, old_width)))
        grown[:, :, :old_height, :old_width] = stored
        self.assign(mx.nd.array(grown))

    def layout(self) -> tuple[np.ndarray, tuple, tuple]:
        """Shapes (num_depth, 2), (vertical, horizontal) steps and offsets of the stored anchors, float64."""
        stored = self._stored()
        cells = stored.reshape(*stored.shape[2:4], -1, 4)
        first = cells[0, 0, 0]
        steps = (cells[1, 0, 0, 1] - first[1], cells[0, 1, 0, 0] - first[0])
        return cells[0, 0, :, 2:], steps, (first[1] / steps[0], first[0] / steps[1])

    def _stored(self) -> np.ndarray:
        return current_value(self.anchors).asnumpy().astype(np.float64)

    def assign(self, anchors: mx.nd.NDArray, ctx: Any = None) -> None:
        """Replaces the stored anchors, (1, 1, any H, any W, 4 * num_depth) float32, on `ctx` or on the contexts they are on.

        They become the parameter's own initial value as well: a later `initialize` restores them, not the first ones.
        """
        contexts = ctx or self.anchors.list_ctx()
        # Gluon has no public way to give a known shape to a parameter again.
        self.anchors._shape = anchors.shape
        self.anchors._data = None
        self.anchors._deferred_init = ()
        self.anchors.init = Fixed(anchors)
        self.anchors.initialize(ctx=contexts)

    def hybrid_forward(self, F, x, anchors):
        anchors = F.slice_like(anchors, x * 0, axes=(2, 3)).reshape((1, -1, 4))
        if self._clip:
            height, width = self._im_size
            cx, cy, w, h = anchors.split(axis=-1, num_outputs=4)
            anchors = F.concat(cx.clip(0, width), cy.clip(0, height), w.clip(0, width), h.clip(0, height), dim=-1)
        return anchors


def network_levels(net: Any) -> list[Level]:
    """A `Level` for each feature map of an SSD at its base size; it need not be initialized."""
    return [Level(cells, *g.layout()) for g, cells in zip(net.anchor_generators, net.map_sizes(*net.base_size))]


class LiteAnchorGenerator(SSDAnchorGenerator):
    """The anchors of TensorFlow's ssd_mobilenet_v1_coco: see `lite_shapes`."""

    def _box_shapes(self, sizes, ratios):
        return lite_shapes(sizes[0], np.sqrt(sizes[0] * sizes[1]), ratios, self._index > 0)


class ListedAnchorGenerator(SSDAnchorGenerator):
    """Anchors that are listed one by one: the k-th of each grid cell has the area sizes[k]^2 and width / height = ratios[k].

    Raises:
        CallError: not as many sizes as ratios.
    """

    def _box_shapes(self, sizes, ratios):
        if len(sizes) != len(ratios):
            counts = f"{len(sizes)} sizes and {len(ratios)} ratios"
            raise CallError(f"feature map {self._index} has {counts}; listed anchors need one of each")
        return listed_shapes(sizes, ratios)
