"""One hybridizable block from a batch of pixels to the losses, so that the forward pass of a training is one cached graph."""

from typing import Any, NamedTuple

from ssdzoo.preset import Preset
from ssdzoo.runtime import mx
from ssdzoo.train.mxnet.freeze import fixed_norms, freeze
from ssdzoo.train.mxnet.loss import MultiBoxLoss
from ssdzoo.train.mxnet.targets import TargetGenerator
from ssdzoo.train.settings import Settings


class ImageLosses(NamedTuple):
    """Losses of each image, arrays (B,) float32: see `ssdzoo.train.mxnet.loss.MultiBoxLoss`."""

    class_loss: Any
    box_loss: Any
    divisor: Any


class PixelNormalize(mx.gluon.HybridBlock):
    """(B, H, W, 3) uint8 RGB to (B, 3, H, W) float32: (x / 255 - mean) / std for each channel."""

    def __init__(self, mean: tuple, std: tuple, **kwargs: Any):
        super().__init__(**kwargs)
        self._mean, self._std = tuple(mean), tuple(std)

    def hybrid_forward(self, F, x):
        return F.image.normalize(F.image.to_tensor(x), mean=self._mean, std=self._std)


class TrainingGraph(mx.gluon.HybridBlock):
    """Pixels and objects to losses, through normalization, network, targets and loss.

    Args:
        head_outputs: a block, or an SSD's method of this name, that gives class logits, box offsets and anchors.
        mean, std: of the normalization.
        loss: a MultiBoxLoss.

    Input: images (B, H, W, 3) uint8 RGB; boxes (B, M, 4) float32 pixels, corner form; class ids (B, M) float32; -1 where
    there is no object. Output: ImageLosses.
    """

    def __init__(self, head_outputs: Any, mean: tuple, std: tuple, loss: MultiBoxLoss, **kwargs: Any):
        super().__init__(**kwargs)
        self.normalize = PixelNormalize(mean, std)
        self._head_outputs = head_outputs
        # A method of a network is no block: its network is, whose parameters this graph reads.
        self.net = getattr(head_outputs, "__self__", head_outputs)
        self.targets = TargetGenerator()
        self.loss = loss

    def __call__(self, *inputs: Any) -> ImageLosses:
        return ImageLosses(*super().__call__(*inputs))

    def hybrid_forward(self, F, images, boxes, ids):
        logits, offsets, anchors = self._head_outputs(self.normalize(images))
        anchors = F.BlockGrad(anchors)
        class_targets, box_targets = self.targets(anchors, boxes, ids)
        return self.loss(logits, offsets, class_targets, box_targets, anchors)


def training_graph(net: Any, preset: Preset, settings: Settings) -> TrainingGraph:
    """The graph of a network with the loss that the settings name, and with the parts frozen that they name."""
    still = freeze(net, settings.freeze, settings.freeze_norm) if settings.freeze or settings.freeze_norm else ()
    loss = MultiBoxLoss(
        settings.class_loss or preset.class_loss, settings.box_loss, min_negatives=settings.min_negatives,
        box_weight=settings.box_weight,
    )  # fmt: skip
    graph = TrainingGraph(fixed_norms(net, still) if still else net.head_outputs, preset.mean, preset.std, loss)
    # Not static_alloc: with it mxnet gives buffers that are still in use to others when the number of objects changes.
    graph.hybridize()
    return graph
