"""One hybridizable block from a batch of pixels to the loss, so that a training step is one cached graph."""

from ssdzoo.runtime import mxnet
from ssdzoo.train.loss import MultiBoxLoss
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

    Input: images (B, H, W, 3) uint8 RGB; boxes (B, M, 4) float32 pixels, corner form; class ids (B, M) float32; -1 where
    there is no object. Output: class loss (B,), box loss (B,), number of positive anchors (B,); the losses are sums over anchors.
    """

    def __init__(self, net, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.normalize = PixelNormalize(mean, std)
        self.net = net
        self.targets = TargetGenerator()
        self.loss = MultiBoxLoss()

    def hybrid_forward(self, F, images, boxes, ids):
        logits, offsets, anchors = self.net.heads(self.normalize(images))
        class_targets, box_targets = self.targets(F.BlockGrad(anchors), boxes, ids)
        return self.loss(logits, offsets, class_targets, box_targets)
