"""Shared and separable heads through a whole training: focal loss, frozen parts, evaluation, other classes."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.demo.shapes import write_shapes
from ssdzoo.preset import check_preset, read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.graph import training_graph
from ssdzoo.train.mxnet.starting_weights import load_for_classes
from ssdzoo.train.settings import Settings
from ssdzoo.weights.matching import load_backbone
from tests.train.jobs import train

mx = mxnet()

COMMON = {"base_size": [64, 96], "sizes": [12, 24, 40, 60], "ratios": [[1, 2, 0.5]] * 3}
SHARED = {
    **COMMON, "name": "shared", "backbone": "resnet18_v1_fpn", "features": ["stage2", "stage3"], "filters": [32],
    "class_loss": "focal", "shared_predictors": True,
}  # fmt: skip
LITE = {
    **COMMON, "name": "lite", "backbone": "mobilenetv2_0.25", "separable": True, "min_depth": 16, "reduce_ratio": 0.5,
    "features": ["features_linearbottleneck13_relu60_relu6", "features_relu61_relu6"], "filters": [32],
}  # fmt: skip


@pytest.mark.parametrize("row", [SHARED, LITE], ids=["shared", "lite"])
def test_a_training(row, tmp_path):
    data, preset = write_shapes(tmp_path / "data", 8, 4, 2), check_preset(row, "here")
    (tmp_path / "table.toml").write_text(preset.to_toml())
    arguments = dict(
        model=tmp_path / "table.toml", data=data, out=tmp_path / "run", epochs=2, batch_size=4, workers=0, eval_every=1,
        freeze=1, clip_norm=1.0, base_weights="none",
    )  # fmt: skip
    progress, result = train(arguments)
    assert np.isfinite(progress.losses).all() and len(progress.losses) == 4 and 0 <= result.rows[-1]["mAP"] <= 1
    trained = read_preset(tmp_path / "run" / "model.toml")
    assert trained == preset.with_classes(trained.classes)
    net, story = load_for_classes(preset.with_classes(["circle", "moon"]), tmp_path / "run", mx.cpu())
    assert story.endswith("best.params: circle")
    was = ssdzoo.get_model(trained, pretrained=tmp_path / "run" / "best.params")
    for new, old in zip(net.class_predictors, was.class_predictors, strict=True):
        kept = old.predictor.weight.data().asnumpy()[1 + trained.classes.index("circle") :: len(trained.classes) + 1]
        np.testing.assert_array_equal(new.predictor.weight.data().asnumpy()[1::3], kept)
    assert (len(net.class_predictors), len(net.box_predictors)) == ((1, 1) if row is SHARED else (3, 3))


@pytest.mark.parametrize("flat", [False, True])
def test_a_classifier_of_mobilenet_v2_as_the_base(flat, tmp_path):
    for _ in range(2):  # the second one of the process has another number in its names
        theirs = mx.gluon.model_zoo.vision.get_model("mobilenetv2_0.25")
    theirs.initialize(mx.init.Xavier())
    theirs(mx.nd.zeros((1, 3, 64, 64)))
    (theirs.collect_params().save if flat else theirs.save_parameters)(str(tmp_path / "base.params"))
    net = ssdzoo.get_model(check_preset(LITE, "here"), classes=["a"])
    net.initialize()
    load_backbone(net, tmp_path / "base.params")
    last = theirs.features[-4].weight.data().asnumpy()
    name = next(n for n, p in net.features.backbone_parameters.items() if p.shape == last.shape)
    np.testing.assert_array_equal(net.features.backbone_parameters[name].data().asnumpy(), last)
    assert last.shape == (1280, 80, 1, 1)


def test_the_graph_of_a_step_for_any_number_of_objects():
    """One that keeps its buffers for the next step (static_alloc) computes wrong targets here, or reads beyond them."""
    row = {
        **COMMON, "name": "wide", "backbone": "mobilenet0.25", "base_size": 160, "separable": True, "min_depth": 64,
        "features": ["relu10_fwd", "relu22_fwd", "relu26_fwd"], "filters": [128], "sizes": [24, 40, 64, 96, 140],
        "ratios": [[1, 2, 0.5]] * 4, "reduce_ratio": 0.5,
    }  # fmt: skip
    preset, rng = check_preset(row, "here"), np.random.default_rng(0)
    mx.random.seed(0)
    net = ssdzoo.get_model(preset, classes=list("abcde"))
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    graph, plain = (training_graph(net, preset, Settings()) for _ in range(2))
    plain.hybridize(False)
    for objects in (1, 2, 3, 2, 5, 6, 2, 7):
        images = mx.nd.array(rng.integers(0, 256, (4, 160, 160, 3)), dtype="uint8")
        corners = rng.uniform(0, 100, (4, objects, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(15, 60, (4, objects, 2))], axis=2)
        given = images, mx.nd.array(boxes), mx.nd.array(rng.integers(0, 5, (4, objects)))
        losses = []
        for block in (plain, graph):
            with mx.autograd.record():
                outputs = block(*given)
                total = outputs[0] + outputs[1]
            total.backward()
            losses.append([o.asnumpy() for o in outputs])
        for a, b in zip(*losses):
            np.testing.assert_allclose(a, b, rtol=1e-3)
