"""GluonCV's own helpers work with ssdzoo's networks, as docs/gluoncv.md says."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.report.pictures import save_image
from ssdzoo.runtime import mxnet

mx = mxnet()
pytest.importorskip("gluoncv")
PIXELS = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
LABEL = np.array([[20, 20, 120, 120, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def net():
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["cat", "dog"])
    net.initialize(mx.init.Xavier())
    net.hybridize()
    return net


def test_an_image_is_loaded_and_drawn(net, tmp_path):
    from gluoncv.data.transforms.presets.ssd import load_test
    from gluoncv.utils.viz import plot_bbox
    from matplotlib import pyplot

    path = tmp_path / "photo.png"
    save_image(path, PIXELS)
    images, image = load_test(str(path), short=300)
    ids, scores, boxes = net(images)
    axes = plot_bbox(image, boxes[0], scores[0], ids[0], thresh=0.0, class_names=net.classes)
    assert len(axes.patches) == int((ids[0] >= 0).sum().asscalar()) > 0
    pyplot.close("all")


def test_the_training_transform_and_loss(net):
    from gluoncv.data.transforms.presets.ssd import SSDDefaultTrainTransform
    from gluoncv.loss import SSDMultiBoxLoss

    with mx.autograd.train_mode():
        anchors = net(mx.nd.zeros((1, 3, 300, 300)))[2]
    transform = SSDDefaultTrainTransform(300, 300, anchors)
    image, class_targets, box_targets = transform(mx.nd.array(PIXELS, dtype="uint8"), LABEL)
    with mx.autograd.record():
        logits, offsets, _ = net(image.expand_dims(0))
        sums = SSDMultiBoxLoss()(logits, offsets, class_targets.expand_dims(0), box_targets.expand_dims(0))[0]
        mx.autograd.backward(sums)
    assert np.isfinite(sums[0].asscalar()) and sums[0].asscalar() > 0


def test_the_target_generator(net):
    from gluoncv.model_zoo.ssd.target import SSDTargetGenerator

    with mx.autograd.train_mode():
        logits, _, anchors = net(mx.nd.zeros((1, 3, 300, 300)))
    boxes, ids = mx.nd.array(LABEL[None, :, :4]), mx.nd.array(LABEL[None, :, 4:5])
    class_targets, box_targets, _ = SSDTargetGenerator()(anchors, logits, boxes, ids)
    assert class_targets.shape == anchors.shape[:2] and float((class_targets > 0).sum().asscalar()) > 0
    assert box_targets.shape == anchors.shape


def test_its_metric_agrees_with_ours():
    from gluoncv.utils.metrics.voc_detection import VOC07MApMetric

    boxes = np.array([[10, 10, 50, 50], [60, 60, 90, 90], [12, 12, 50, 50]], np.float32)
    ids, scores = np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7], np.float32)
    theirs = VOC07MApMetric(iou_thresh=0.5, class_names=["cat", "dog"])
    theirs.update(boxes[None], ids[None, :, None], scores[None, :, None], boxes[None, :2], ids[None, :2, None])
    ours = ssdzoo.metrics.VOCMeanAP(["cat", "dog"])
    ours.update(boxes, ids, scores, boxes[:2], ids[:2])
    assert theirs.get()[1][-1] == pytest.approx(ours.value()["mAP"], abs=1e-6)


def test_what_export_block_wrote_is_loaded(net, tmp_path):
    from gluoncv.utils import export_block

    export_block(str(tmp_path / "cats"), net, data_shape=(300, 300, 3), preprocess=True, layout="HWC")
    detector = ssdzoo.load(tmp_path / "cats-symbol.json")
    assert detector.preset.base_size == (300, 300)
    assert len(detector(PIXELS, score=0.0)[0]) == 100


def test_its_vgg_extractor_is_a_backbone_of_ours():
    from gluoncv.model_zoo.ssd.vgg_atrous import vgg16_atrous_300

    sizes, ratios = [30, 60, 111, 162, 213, 264, 315], [[1, 2, 0.5]] + [[1, 2, 0.5, 3, 1 / 3]] * 3 + [[1, 2, 0.5]] * 2
    steps = [8, 16, 32, 64, 100, 300]
    net = ssdzoo.get_ssd(None, 300, vgg16_atrous_300(pretrained=False), [], sizes, ratios, steps, ["cat"])
    net.initialize(mx.init.Xavier())
    with mx.autograd.train_mode():
        logits, offsets, anchors = net(mx.nd.zeros((1, 3, 300, 300)))
    assert (logits.shape, offsets.shape, anchors.shape) == ((1, 8732, 2), (1, 8732, 4), (1, 8732, 4))
