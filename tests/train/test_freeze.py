"""Parts of a backbone that a training leaves as they are."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.runtime import mxnet
from tests.train.jobs import train

mx = mxnet()


def last_weights(folder):
    (path,) = (folder / "last").glob("*.params")
    return {k: v.asnumpy() for k, v in mx.nd.load(str(path)).items()}


def short(name):
    """Such as conv3_weight."""
    return name.partition("mobilenet")[2].partition("_")[2]


def test_frozen_stages_stay_and_the_rest_learns(job, tmp_path):
    mx.random.seed(0)
    net = ssdzoo.get_model(str(tmp_path / "table.toml"), classes=["a"])
    net.initialize(mx.init.Xavier())
    filled = {k: p for k, p in net.features.backbone_parameters.items() if p._data is not None}
    mx.nd.save(str(tmp_path / "base.params"), {k: p.data() for k, p in filled.items()})
    base = {short(p.name): p.data().asnumpy() for p in filled.values()}
    train(job(base_weights=tmp_path / "base.params", freeze=2, epochs=1, lr=0.05))
    after = {short(k): v for k, v in last_weights(tmp_path / "run").items() if "mobilenet" in k}
    assert base.keys() == after.keys() and len(base) > 100
    same = [k for k in base if np.array_equal(base[k], after[k])]
    # Stage 1 works at 32x32 pixels: conv0 to conv2; stage 2 at 16x16: conv3 to conv6.
    norms = ("gamma", "beta", "running_mean", "running_var")
    expected = [name for i in range(7) for name in (f"conv{i}_weight", *(f"batchnorm{i}_{part}" for part in norms))]
    assert sorted(same) == sorted(expected)


def test_frozen_norms(job, tmp_path):
    train(job(freeze_norm=True, epochs=1, lr=0.05))
    after = last_weights(tmp_path / "run")
    means = [v for k, v in after.items() if k.endswith("_mean")]
    backbone = [v for k, v in after.items() if "mobilenet" in k and k.endswith("_mean")]
    assert len(backbone) > 20 and all((v == 0).all() for v in backbone)
    assert sum((v != 0).any() for v in means) == len(means) - len(backbone) > 0


def test_too_many_frozen_stages(job):
    with pytest.raises(CallError, match="freeze=6: this backbone has 4 stages, so 0 to 4"):
        train(job(freeze=6))
