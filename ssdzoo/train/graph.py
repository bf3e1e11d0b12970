"""One hybridizable block from a batch of pixels to the loss, so that a training step is one cached graph."""

from ssdzoo.runtime import mxnet
from ssdzoo.train.targets import TargetGenerator

mx = mxnet()


class PixelNormalize(mx.gluon.HybridBlock):
    """(B, H, W, 3) uint8 RGB to (B, 3, H, W) float32: (x / 255 - mean) / std for each channel."""

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self._mean, self._std = tuple(mean), tuple(std)

    def hybrid_forward(self, F, x):
        return F.image.normalize(F.image.to_tensor(x), mean=self._mean, std=self._std)


class TrainingGraph(mx.gluon.HybridBlock):
    """Pixels and objects to losses, through normalization, network, targets and loss.

    Args:
        heads: a block, or an SSD's `heads`, that gives logits, offsets and anchors.
        mean, std: of the normalization.
        loss: a MultiBoxLoss.

    Input: images (B, H, W, 3) uint8 RGB; boxes (B, M, 4) float32 pixels, corner form; class ids (B, M) float32; -1 where
    there is no object. Output: class loss, box loss and divisor, each (B,): see `MultiBoxLoss`.
    """

    def __init__(self, heads, mean, std, loss, **kwargs):
        super().__init__(**kwargs)
        self.normalize = PixelNormalize(mean, std)
        self._heads = heads
        # A method of a network is no block: its network is, whose parameters this graph reads.
        self.net = getattr(heads, "__self__", heads)
        self.targets = TargetGenerator()
        self.loss = loss

    def hybrid_forward(self, F, images, boxes, ids):
        logits, offsets, anchors = self._heads(self.normalize(images))
        anchors = F.BlockGrad(anchors)
        class_targets, box_targets = self.targets(anchors, boxes, ids)
        return self.loss(logits, offsets, class_targets, box_targets, anchors)
