import numpy as np
import pytest

import ssdzoo
from ssdzoo.demo.shapes import write_shapes
from ssdzoo.preset import check_preset, read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.toml_file import read_toml
from ssdzoo.train.mxnet.freeze import backbone_stages, fixed_norms, freeze

mx = mxnet()

ROW = {
    "name": "small_fpn", "backbone": "resnet18_v1_fpn", "base_size": 64, "features": ["stage2", "stage3"], "filters": [32],
    "sizes": [12, 24, 40, 60], "ratios": [[1, 2, 0.5]] * 3, "class_loss": "focal",
}  # fmt: skip


def network():
    net = ssdzoo.get_model(check_preset(ROW, "here"), classes=["a"])
    net.initialize(mx.init.Xavier())
    return net


def test_stages_are_those_of_the_resnet():
    stages = backbone_stages(network())
    names = [sorted({p.name.split("_", 2)[-1] for p in stage if p.name.endswith("weight")}) for stage in stages]
    assert [len(n) for n in names] == [1, 4, 5, 5]  # the stem, layer1, and layers 2 and 3 with a convolution beside their blocks
    pyramid = {id(p) for p in network().features.pyramid_parameters.values()}
    assert not pyramid & {id(p) for stage in stages for p in stage}


def test_frozen_stages_and_norms_stay(tmp_path):
    net = network()
    before = {n: p.data().asnumpy() for n, p in net.collect_params().items()}
    still = freeze(net, 2, norms=True)
    graph = fixed_norms(net, still)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    with mx.autograd.record():
        logits, offsets, _ = graph(mx.nd.random.normal(shape=(2, 3, 64, 64)))
        loss = (logits**2).mean() + (offsets**2).mean()
    loss.backward()
    trainer.step(1)
    changed = {n for n, p in net.collect_params().items() if not np.array_equal(before[n], p.data().asnumpy())}
    base = {p.name for p in net.features.backbone_parameters.values()}
    learning = {p.name for stage in backbone_stages(net)[2:] for p in stage if p.name.endswith("weight")}
    assert changed & base == learning
    assert {p.name for p in net.features.pyramid_parameters.values() if p.name.endswith("weight")} <= changed


@pytest.mark.parametrize("given, used", [({}, "focal"), ({"class_loss": "ohem"}, "ohem")])
def test_the_class_loss_is_that_of_the_model_unless_given(given, used, tmp_path):
    data = write_shapes(tmp_path / "data", 3, 4, 4)
    (tmp_path / "table.toml").write_text(check_preset(ROW, "here").to_toml())
    result = ssdzoo.fine_tune(
        tmp_path / "table.toml", data, tmp_path / "run", epochs=1, batch_size=4, workers=0, base_weights="none", **given
    )
    assert np.isfinite(result.rows[-1]["loss"])
    assert read_toml(tmp_path / "run" / "args.toml")["class_loss"] == used
    assert read_preset(tmp_path / "run" / "model.toml").class_loss == "focal"
    biases = [h.predictor.bias.data().asnumpy() for h in ssdzoo.get_model(
        tmp_path / "run" / "model.toml", pretrained=str(tmp_path / "run" / "best.params")).class_predictors]  # fmt: skip
    shares = [np.exp(b[0]) / np.exp(b[: len(b) // 4]).sum() for b in biases]
    assert all(share > 0.97 for share in shares) if used == "focal" else all(share < 0.9 for share in shares)
