"""The SSD network (Liu et al. 2016)."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import cycle, pairwise
from typing import Any

import numpy as np

from ssdzoo.class_names import class_names, kept_classes
from ssdzoo.errors import CallError
from ssdzoo.nn.anchors import ListedAnchorGenerator, SSDAnchorGenerator
from ssdzoo.nn.coder import STDS
from ssdzoo.nn.detect import Detect
from ssdzoo.nn.parameters import current_value
from ssdzoo.nn.predictors import ConvPredictor, SeparablePredictor, flatten_maps
from ssdzoo.runtime import mx

autograd, nn = mx.autograd, mx.gluon.nn


class SSDNetwork(mx.gluon.HybridBlock):
    """Single-shot detector: a feature extractor, and anchors, a class predictor and a box predictor for each feature map.

    Args:
        make_features: returns the extractor, a HybridBlock that maps images to a list of feature maps, finest first; it is
            called inside the name scope of the network.
        base_size: input size that the anchors are made for, in pixels: one number or (H, W).
        sizes: anchor sizes in pixels: one for each feature map and one more; or for each a list, one for each of its ratios.
        ratios: for each feature map the aspect ratios, beginning with 1 unless the sizes are lists; or one list for all.
        steps: for each feature map the distance of anchor centers in pixels; None derives base size / size of the feature map.
        classes: names of the classes, without the background.
        stds, nms_thresh, nms_topk, post_nms: see `Detect`.
        anchor_alloc_size: width of the stored anchor grid of the first feature map; each next one has half of it, 16 at minimum;
            more where an input of base_size needs it.
        predictors_kernel, predictors_pad: (H, W) of the predictors' convolutions and of their padding.
        anchor_generator: `SSDAnchorGenerator` or `LiteAnchorGenerator`; lists of sizes have a `ListedAnchorGenerator`.
        shared_predictors: one class predictor and one box predictor for all feature maps, which then need equally many channels,
            and anchors at a grid cell (Lin et al. 2017, "Focal Loss", section 4).
        separable: makes the predictors' convolutions depthwise separable: see `SeparablePredictor`.

    Called with images (B, 3, H, W) float32, RGB, normalized by the ImageNet mean and std, it returns
      - while training (inside `autograd.record()`): class logits (B, N, C + 1), background first; box offsets (B, N, 4); anchors
        (1, N, 4), center form, pixels;
      - otherwise: class ids (B, 100, 1), scores (B, 100, 1), boxes (B, 100, 4), corner form, pixels; -1 fills up. A tiny input
        with fewer than 100 candidates returns as many.

    The two have a cached graph each: `hybridize()` once and switch as you like. Attribute paths equal GluonCV's, because they
    are the names in the parameter files.

    Raises:
        CallError: arguments that don't fit each other or the extractor; names what was expected.
    """

    def __init__(self, make_features: Callable, base_size: int | Sequence[int], sizes: Sequence, ratios: Sequence,
                 steps: Sequence | None, classes: Sequence[str], stds: tuple = STDS, nms_thresh: float = 0.45,
                 nms_topk: int = 400, post_nms: int = 100, anchor_alloc_size: int = 128, predictors_kernel: tuple = (3, 3),
                 predictors_pad: tuple = (1, 1), anchor_generator: type = SSDAnchorGenerator, shared_predictors: bool = False,
                 separable: bool = False, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.classes = class_names(classes)
        self.base_size = tuple(np.broadcast_to(base_size, 2).tolist())
        self._map_shapes: dict[tuple, list | None] = {}
        with self.name_scope():
            self.features = make_features()
            self.class_predictors = nn.HybridSequential()
            self.box_predictors = nn.HybridSequential()
            self.anchor_generators = nn.HybridSequential()
            self._add_anchors(anchor_generator, sizes, ratios, steps, anchor_alloc_size)
            predictor = SeparablePredictor if separable else ConvPredictor
            self._add_predictors(predictor, predictors_kernel, predictors_pad, shared_predictors)
            self.detect = Detect(self.num_classes, nms_thresh, nms_topk, post_nms, stds)
        # Every shape is known from here on: weights can be checked, saved and classes reset before the first forward.
        self.infer_shape(mx.nd.zeros((1, 3, *self.base_size)))

    def _add_anchors(self, generator: type, sizes: Sequence, ratios: Sequence, steps: Sequence | None, alloc_size: int) -> None:
        height, width = self.base_size
        maps = self.map_sizes(height, width)
        ratios = [ratios] * len(maps) if np.isscalar(ratios[0]) else ratios
        steps = steps or [(height / h, width / w) for h, w in maps]
        listed = not np.isscalar(sizes[0])
        if [len(sizes), len(ratios), len(steps)] != [len(maps) + (not listed), len(maps), len(maps)]:
            wanted = f"{len(maps)} lists of sizes" if listed else f"{len(maps) + 1} sizes"
            raise CallError(
                f"the extractor has {len(maps)} feature maps, so {wanted}, {len(maps)} lists of ratios and "
                f"{len(maps)} steps are expected, not {len(sizes)}, {len(ratios)} and {len(steps)}"
            )
        if listed:
            generator = ListedAnchorGenerator
        for i, of_map in enumerate(zip(sizes if listed else pairwise(sizes), ratios, steps)):
            alloc = tuple(max(alloc_size >> i, 16, side) for side in maps[i])
            self.anchor_generators.add(generator(i, self.base_size, *of_map, alloc))

    def _add_predictors(self, predictor: type, kernel: tuple, pad: tuple, shared: bool) -> None:
        depths = [generator.num_depth for generator in self.anchor_generators]
        channels = [channels for channels, _, _ in self._map_shapes[self.base_size] or ()]
        if shared:
            depths, channels = _only(depths, "anchors at a grid cell (fields 'sizes' and 'ratios')"), _only(channels, "channels")
        for depth, in_channels in zip(depths, channels):
            for predictors, values in ((self.class_predictors, self.num_classes + 1), (self.box_predictors, 4)):
                predictors.add(predictor(depth * values, kernel, pad, in_channels))

    @property
    def num_classes(self) -> int:
        """Number of classes, without the background."""
        return len(self.classes)

    # Also set before or after `hybridize`.
    nms_thresh = property(lambda self: self.detect.nms_thresh, lambda self, value: self._change_nms(nms_thresh=value))
    nms_topk = property(lambda self: self.detect.nms_topk, lambda self, value: self._change_nms(nms_topk=value))
    post_nms = property(lambda self: self.detect.post_nms, lambda self, value: self._change_nms(post_nms=value))

    def _change_nms(self, **changed: Any) -> None:
        kept = {name: getattr(self, name) for name in ("nms_thresh", "nms_topk", "post_nms")}
        self.set_nms(**{**kept, **changed})

    def set_nms(self, nms_thresh: float = 0.45, nms_topk: int = 400, post_nms: int = 100) -> None:
        """Sets the NMS (see `Detect`), before or after `hybridize`."""
        self.detect.set_nms(nms_thresh, nms_topk, post_nms)

    def map_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(H, W) of each feature map for an input of height x width pixels.

        Raises:
            CallError: a feature map would vanish; the message names the minimum size.
        """
        if (height, width) not in self._map_shapes:
            self._map_shapes[height, width] = self._infer_map_shapes(height, width)
        shapes = self._map_shapes[height, width]
        if shapes is None:
            minimum = bisect_left(range(4096), True, key=lambda side: bool(self._infer_map_shapes(side, side)))
            raise CallError(
                f"an input of {height}x{width} (H x W) is too small for this network: its last feature map would vanish; "
                f"the minimum is {minimum}x{minimum}"
            )
        return [shape[1:] for shape in shapes]

    def _infer_map_shapes(self, height: int, width: int) -> list | None:
        maps = mx.sym.Group(_listed(self.features(mx.sym.var("data"))))
        try:
            # The other infer_shape prints to standard output before it raises.
            _, shapes, _ = maps.infer_shape_partial(data=(1, 3, height, width))
        except mx.base.MXNetError:
            return None
        return [s[1:] for s in shapes] if all(min(s) > 0 for s in shapes) else None

    def hybrid_forward(self, F, x):
        maps = _listed(self.features(x))
        # Where the predictors are shared there is one of each.
        parts = zip(maps, cycle(self.class_predictors), cycle(self.box_predictors), self.anchor_generators)
        logits, offsets, anchors = zip(*((c(m), b(m), a(m)) for m, c, b, a in parts))
        return flatten_maps(F, logits, self.num_classes + 1), flatten_maps(F, offsets, 4), F.concat(*anchors, dim=1)

    def head_outputs(self, x: Any) -> tuple:
        """Class logits (B, N, C + 1), box offsets (B, N, 4) and anchors (1, N, 4) of a batch, training or not.

        Raises:
            CallError: `x` is not (B, 3, H, W), or too small.
        """
        if isinstance(x, mx.nd.NDArray):
            if x.ndim != 4 or x.shape[1] != 3:
                raise CallError(f"expected a batch of images (B, 3, H, W), got shape {x.shape}")
            self.cover(*x.shape[2:])
            if x.context.device_type == "cpu_shared":  # a batch from DataLoader workers
                x = x.as_in_context(next(iter(self.collect_params().values())).list_ctx()[0])
        return super().forward(x)

    def forward(self, x: Any) -> Any:
        outputs = self.head_outputs(x)
        return outputs if autograd.is_training() else self.detect(*outputs)

    def cover(self, height: int, width: int) -> None:
        """Makes the stored anchors cover an input of height x width pixels; does nothing where they do already."""
        for generator, (rows, columns) in zip(self.anchor_generators, self.map_sizes(height, width)):
            alloc = generator.anchors.shape[2:4]
            if rows > alloc[0] or columns > alloc[1]:
                generator.grow(rows, columns)
                self._clear_cached_op()

    def reset_class(self, classes: Sequence[str], reuse_weights: dict | Sequence[str] | None = None) -> None:
        """Replaces the classes, and with them the last convolutions of the class predictors.

        Args:
            classes: the new names.
            reuse_weights: classes whose old weights are kept: a dict of new -> old, each a name or an index,
                or a list of the names that both have (one that either side lacks is left out with a warning, as in
                GluonCV). The background is kept too as soon as any is.

        Raises:
            CallError: a name or an index of the dict that is not there.
        """
        old, new = self.classes, class_names(classes)
        kept = kept_classes(old, new, reuse_weights)
        for predictor, generator in zip(self.class_predictors, self.anchor_generators):
            conv = predictor.replace(generator.num_depth * (len(new) + 1))
            if conv.weight._data is not None:
                predictor.predictor.initialize(ctx=conv.weight.list_ctx())
                if kept:
                    _copy_classes(conv, predictor.predictor, kept, len(old) + 1, len(new) + 1)
        self.classes = new
        self.detect.set_classes(len(new))
        self._clear_cached_op()


def _listed(maps: Any) -> Sequence:
    """The feature maps of an extractor, which gives one alone where it has one only."""
    return maps if isinstance(maps, (list, tuple)) else [maps]


def _only(values: list, what: str) -> list:
    """The one value that all feature maps share, as a list."""
    if len(set(values)) > 1:
        raise CallError(
            f"shared_predictors = true: all feature maps need equally many {what}, not {values}; make them equal or leave it out"
        )
    return values[:1]


def _copy_classes(old_conv: Any, new_conv: Any, kept: dict, old_width: int, new_width: int) -> None:
    """Copies the weights of the background and of the kept classes, one row in `width` rows per anchor, on every context."""
    for old, new in ((old_conv.weight, new_conv.weight), (old_conv.bias, new_conv.bias)):
        source, target = current_value(old).asnumpy(), current_value(new).asnumpy()
        for to, from_ in {-1: -1, **kept}.items():
            target[to + 1 :: new_width] = source[from_ + 1 :: old_width]
        new.set_data(mx.nd.array(target))
