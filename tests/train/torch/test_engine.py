"""The step in torch is that of MXNet: losses, gradients, and what an update does with them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ssdzoo.data.loading.ahead import made_ahead
from ssdzoo.errors import CallError
from ssdzoo.train.engine import LossNotFinite
from ssdzoo.train.mxnet.freeze import backbone_stages as their_stages
from ssdzoo.train.settings import Settings
from ssdzoo.train.torch.engine import amp_type, faster_channels_last
from ssdzoo.train.torch.freeze import backbone_stages, is_backbone
from tests.train.torch.engines import CLASSES, batch, both, mx, network, preset_of, torch_engine, translated


@pytest.mark.parametrize("kind, changes", [("vgg", {}), ("resnet", {}), ("mobilenet", {"freeze_norm": True})])
def test_losses_and_gradients(kind, changes):
    """The norms of the MobileNet are frozen: those over a few random values enlarge rounding until ReLUs differ. In float64 all
    of its gradients are compared in tests/export/torch/test_networks.py."""
    theirs, ours = both(kind, **changes)
    drawn = batch()
    with mx.autograd.record():
        expected = theirs._losses(*next(theirs._shards(drawn)))
        total = (expected.class_loss + expected.box_loss).sum()
    total.backward()
    found = ours.losses(drawn)
    ours.optimizer.backward((found.class_loss + found.box_loss).sum())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.asnumpy(), rtol=1e-4)
    wanted = {name: p.grad().asnumpy() for name, p in theirs.optimizer.learning.items()}
    largest = max(np.abs(gradient).max() for gradient in wanted.values())
    learning = ours.optimizer.learning
    # MXNet has a gradient of 0 for a scale that is fixed at 1.
    assert all(not wanted[name].any() for name in wanted.keys() - learning.keys()) and learning.keys() <= wanted.keys()
    for name, parameter in learning.items():
        # The gradient of a scale before a convolution and another batch norm is 0, but for rounding.
        error = np.abs(parameter.grad.numpy() - wanted[name]).max()
        assert error <= 1e-3 * np.abs(wanted[name]).max() + 1e-6 * largest, name


def assert_follow(kind, steps, tolerance, accumulate=1, rate=0.002, **settings):
    theirs, ours = both(kind, accumulate=accumulate, **settings)
    before = ours.weights()
    for step in range(steps):
        batches = [batch(seed=step * accumulate + i) for i in range(accumulate)]
        expected, found = theirs.step(batches, rate / (1 + step // 2)), ours.step(batches, rate / (1 + step // 2))
        np.testing.assert_allclose(found, expected, rtol=tolerance)
    return theirs, ours, before


def assert_weights_alike(theirs, ours, before, averaged=False, tolerance=5e-3):
    """What the steps have changed is the same."""
    expected, found = theirs.weights(averaged), ours.weights(averaged)
    assert list(found) == list(expected)
    # Weight decay moves a scale that is fixed at 1 in MXNet, where nothing reads it.
    fixed = theirs.optimizer.learning.keys() - ours.optimizer.learning.keys()
    for name, array in expected.items():
        if name in fixed:
            continue
        change, error = np.linalg.norm(array - before[name]), np.linalg.norm(found[name] - array)
        assert error <= tolerance * change + 1e-6 * np.linalg.norm(array), name


@pytest.mark.parametrize("kind, changes", [("vgg", {}), ("resnet", {}), ("mobilenet", {"freeze_norm": True})])
def test_ten_steps_of_sgd(kind, changes):
    """The norms of the MobileNet are frozen: from random weights, the statistics of four small images are chaotic, and MXNet with
    weights changed by a millionth does not follow itself."""
    assert_weights_alike(*assert_follow(kind, 10, 1e-3, **changes), tolerance=0.02)  # rounding grows with each step


@pytest.mark.parametrize("settings", [
    {"optimizer": "adam", "rate": 0.0005}, {"clip_norm": 0.5}, {"clip_norm": 0.5, "optimizer": "adam", "accumulate": 2},
    {"accumulate": 3}, {"bias_decay": False, "weight_decay": 5.0}, {"momentum": 0.0}, {"class_loss": "focal", "box_loss": "giou"},
    {"box_loss": "diou", "min_negatives": 0, "box_weight": 2.0},
])  # fmt: skip
def test_every_kind_of_update(settings):
    assert_weights_alike(*assert_follow("vgg", 3, 1e-3, **settings))


def test_the_moving_average():
    theirs, ours, before = assert_follow("resnet", 3, 1e-3, ema=0.9)
    assert_weights_alike(theirs, ours, before, averaged=True)
    average = ours.weights(averaged=True)["class_predictors.0.predictor.weight"]
    assert np.abs(average - ours.weights()["class_predictors.0.predictor.weight"]).max() > 1e-5
    np.testing.assert_array_equal(ours.state()["ema"]["class_predictors.0.predictor.weight"], average)


@pytest.mark.parametrize("kind", ["vgg", "resnet", "mobilenet"])
def test_frozen_stages_are_mxnet_s(kind):
    net, preset = network(kind)
    names = {p.name: path for path, p in net._collect_params_with_prefix().items()}
    expected = [{names[p.name] for p in stage if "running" not in p.name} for stage in their_stages(net)]
    assert [set(stage) for stage in backbone_stages(translated(kind), preset.base_size)] == expected
    of_backbone = {p.name for p in net.features.backbone_parameters.values()}
    for name, path in names.items():
        assert is_backbone(path) == (name in of_backbone), path


@pytest.mark.parametrize("freeze, freeze_norm", [(2, False), (1, True)])
def test_frozen_parts_stay(freeze, freeze_norm):
    theirs, ours = both("resnet", freeze=freeze, freeze_norm=freeze_norm)
    before = ours.weights()
    for step in range(2):
        np.testing.assert_allclose(ours.step([batch(seed=step)], 0.002), theirs.step([batch(seed=step)], 0.002), rtol=1e-3)
    assert_weights_alike(theirs, ours, before)
    still = {name for name, array in ours.weights().items() if np.array_equal(array, before[name])}
    assert "features.resnetv10_conv0_weight" in still and "features.resnetv10_batchnorm0_running_mean" in still
    assert ("features.resnetv10_stage3_batchnorm0_gamma" in still) == freeze_norm
    assert "features.resnetv10_stage3_conv0_weight" not in still and "features.expand_conv0_weight" not in still


def test_more_frozen_stages_than_there_are():
    with pytest.raises(CallError, match="freeze=9: this backbone has 5 stages, so 0 to 5 can be frozen"):
        torch_engine("vgg", Settings(freeze=9))


def test_a_loss_that_is_not_finite_changes_nothing():
    _, ours = both("vgg")
    before = ours.weights()
    with torch.no_grad():
        ours.module.get_parameter("box_predictors.0.predictor.bias").fill_(float("nan"))
    with pytest.raises(LossNotFinite) as error:
        ours.step([batch()], 0.1)
    assert len(error.value.batch.images) == 4
    np.testing.assert_array_equal(ours.weights()["features.stages.0.0.weight"], before["features.stages.0.0.weight"])


def test_batches_that_were_placed_before_give_the_same_step():
    one, other = (torch_engine("vgg", Settings(accumulate=2).completed(preset_of("vgg"))) for _ in range(2))
    batches = [batch(seed=1), batch(seed=2)]
    placed = list(made_ahead(iter(batches), one.place))
    assert one.step(placed, 0.01) == other.step(batches, 0.01)
    broken = batch()
    broken.images[:], broken.boxes[:] = 0, float("nan")
    with pytest.raises(LossNotFinite) as found:
        one.step([placed[0], one.place(broken)], 0.01)
    np.testing.assert_array_equal(found.value.batch.boxes, broken.boxes)
    batches = iter(batches)
    assert one.ahead(batches) is batches  # a CPU has nothing else to do meanwhile


def test_state_of_another_optimizer():
    _, sgd = both("vgg")
    _, adam = both("vgg", optimizer="adam")
    with pytest.raises(CallError, match="is of another optimizer=, or of other weights"):
        sgd.load(adam.state(), 3)


def test_half_precision_on_the_cpu_is_bfloat16():
    theirs, ours = both("resnet")
    half = torch_engine("resnet", Settings(amp=True))
    assert half.precision == torch.bfloat16 == amp_type(torch.device("cpu")) and ours.precision == torch.float32
    for step in range(2):
        losses = half.step([batch(seed=step)], 0.002)
        np.testing.assert_allclose(losses, theirs.step([batch(seed=step)], 0.002), rtol=0.05)
    assert losses != ours.step([batch(seed=0)], 0.002)
    assert {array.dtype for array in half.weights().values()} == {np.dtype(np.float32)}


def test_a_detector_of_the_network_as_it_is():
    engine = torch_engine("resnet", Settings(ema=0.5))
    engine.step([batch()], 0.01)
    kept = engine.weights()
    with engine.detector() as detector:
        assert not engine.module.training
        np.testing.assert_array_equal(
            engine.weights()["features.expand_conv0_weight"], engine.average.arrays()["features.expand_conv0_weight"]
        )
        (found,) = detector([batch().images[0]], score=0.05)
    assert engine.module.training and found.names == CLASSES
    assert all(np.array_equal(array, kept[name]) for name, array in engine.weights().items())


def test_channels_last_where_it_is_faster():
    modules = {kind: translated(kind) for kind in ("vgg", "mobilenet")}
    cpu = torch.device("cpu")
    assert faster_channels_last(modules["mobilenet"], cpu) and not faster_channels_last(modules["vgg"], cpu)
    assert faster_channels_last(modules["vgg"], torch.device("cuda"))


@pytest.mark.long
def test_compiled(tmp_path):
    _, plain = both("vgg")
    compiled = torch_engine("vgg", Settings(engine="torch", compile=True))
    for size in (4, 4, 3):
        np.testing.assert_allclose(compiled.step([batch(size)], 0.002), plain.step([batch(size)], 0.002), rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("amp, tolerance", [(False, 1e-2), (True, 0.05)])
def test_a_gpu_trains_like_the_cpu(amp, tolerance):
    from ssdzoo.train.torch.engine import TorchEngine
    from ssdzoo.train.torch.processes import Processes

    for kind in ("vgg", "resnet"):
        _, cpu = both(kind)
        gpu = TorchEngine(translated(kind), preset_of(kind), Settings(amp=amp), Processes(torch.device("cuda:0")))
        for step, placed in enumerate(gpu.ahead(batch(seed=seed) for seed in range(3))):
            np.testing.assert_allclose(gpu.step([placed], 0.002), cpu.step([batch(seed=step)], 0.002), rtol=tolerance)
        with gpu.detector() as detector:
            assert len(detector([batch().images[0]])) == 1
