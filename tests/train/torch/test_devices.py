"""What only GPUs and several processes would show, on the CPU: where tensors lie, how processes meet, gradients that are scaled,
and what a Dropout leaves out."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ssdzoo.export.torch.detection import find_objects
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.train.settings import Settings
from ssdzoo.train.torch import processes
from ssdzoo.train.torch.engine import TorchEngine
from ssdzoo.train.torch.loss import MultiBoxLoss
from ssdzoo.train.torch.optimizer import Optimizer
from ssdzoo.train.torch.processes import Processes, join
from ssdzoo.train.torch.targets import make_targets
from tests.export.torch.fake_card import CARD, OnTheCard, card
from tests.train.torch.engines import batch, preset_of, torch_engine, translated

META = torch.device("meta")  # holds no values, and refuses tensors of another device beside its own
RULE = DetectionRule(thresh=0.45, topk=40, post=15, score=0.01, stds=(0.1, 0.1, 0.2, 0.2))


@pytest.mark.parametrize("kind, settings", [
    ("vgg", {"optimizer": "adam", "ema": 0.9}), ("mobilenet", {"class_loss": "focal", "box_loss": "giou", "freeze_norm": True}),
])  # fmt: skip
def test_all_tensors_of_a_step_lie_on_one_device(kind, settings, monkeypatch):
    """And nothing asks for a value, for which a GPU would be waited."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no such device
    monkeypatch.setattr(torch, "equal", lambda *_: True)
    preset = preset_of(kind)
    engine = TorchEngine(translated(kind), preset, Settings(**settings).completed(preset), Processes(META))
    losses = engine.losses(batch())
    assert [loss.device for loss in losses] == [META] * 3
    engine.optimizer.backward((losses.class_loss + losses.box_loss).sum())
    engine.optimizer.update(1, 0.1, 1.0, maximum=0.5)
    if engine.average:
        engine.average.update(1)
    heads = engine.network(torch.empty(2, 3, 64, 64, device=META))
    for rule in (RULE, DetectionRule(**{**vars(RULE), "multi_box": True, "clip": True})):
        assert [found.device for found in find_objects(*heads, rule, (64, 64))] == [META] * 3
    with pytest.raises(RuntimeError, match="is not on the expected device"):
        engine.network(torch.zeros(2, 3, 64, 64))


@pytest.mark.parametrize("classes, boxes", [("ohem", "smooth_l1"), ("focal", "giou"), ("ohem", "diou")])
def test_a_gpu_is_not_waited_for_in_targets_and_losses(classes, boxes):
    with card():
        anchors, objects, ids, logits, offsets = (
            torch.empty(shape, device=CARD) for shape in ((1, 90, 4), (2, 5, 4), (2, 5), (2, 90, 4), (2, 90, 4))
        )
        with OnTheCard():
            losses = MultiBoxLoss(classes, boxes)(logits, offsets, *make_targets(anchors, objects, ids), anchors)
        assert [loss.shape for loss in losses] == [(2,)] * 3


@pytest.mark.parametrize("place, backend, number", [("cuda:1", "nccl", 1), ("cuda", "nccl", 0), ("cpu", "gloo", None)])
def test_processes_meet_on_their_own_cards(place, backend, number, monkeypatch):
    chosen, met = [], []
    fakes = SimpleNamespace(
        init_process_group=lambda *a, **k: met.append((*a, k["device_id"])), new_group=lambda backend, **_: met.append(backend)
    )
    monkeypatch.setattr(processes, "distributed", fakes)
    for name in ("Heartbeat", "end_with_parent"):
        monkeypatch.setattr(processes, name, lambda: None)
    monkeypatch.setattr(processes, "torch_device", torch.device)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name, value in (("WORLD_SIZE", 2), ("RANK", 1), ("LOCAL_WORLD_SIZE", 1)):
        monkeypatch.setenv(name, str(value))
    expected = None if number is None else torch.device("cuda", number)
    assert join(Settings(), place).device == (expected or torch.device("cpu"))
    assert met == [(backend, expected), "gloo"] and chosen == ([expected] if expected else [])


def scaled_engine(**settings):
    """An engine on the CPU whose losses are scaled as for float16."""
    settings = Settings(**settings).completed(preset_of("vgg"))
    engine = torch_engine("vgg", settings)
    engine.optimizer = Optimizer(engine.module, settings, scaled=True)
    return engine


@pytest.mark.parametrize("settings", [{"clip_norm": 0.5, "accumulate": 2}, {"optimizer": "adam", "accumulate": 2}])
def test_scaled_losses_give_the_same_updates(settings):
    """The gradients of several batches are added up and unscaled once, before their norm is bounded."""
    plain = torch_engine("vgg", Settings(**settings).completed(preset_of("vgg")))
    scaled = scaled_engine(**settings)
    for step in range(3):
        batches = [batch(seed=2 * step + i) for i in range(2)]
        np.testing.assert_allclose(scaled.step(batches, 0.002), plain.step(batches, 0.002), rtol=1e-6)
    for name, array in plain.weights().items():
        np.testing.assert_allclose(scaled.weights()[name], array, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("maximum", [None, 0.5])
def test_gradients_that_are_too_large_change_nothing_but_the_scale(maximum):
    engine = scaled_engine()
    engine.step([batch()], 0.002)
    before, state = engine.weights(), engine.state()
    assert state["states"]["scaler"].tolist() == [65536, 1]
    losses = engine.losses(batch())
    engine.optimizer.backward((losses.class_loss + losses.box_loss).sum())
    engine.module.get_parameter("box_predictors.0.predictor.bias").grad[0] = float("inf")
    engine.optimizer.update(2, 0.002, 1.0, maximum)
    assert all(np.array_equal(array, before[name]) for name, array in engine.weights().items())
    assert engine.state()["states"]["scaler"].tolist() == [32768, 0]
    again = scaled_engine()
    again.load(engine.state(), 2)
    assert again.state()["states"]["scaler"].tolist() == [32768, 0]


class Dropped(torch.nn.Module):
    """A network that sees a half of the values of its images."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.drop = inner, torch.nn.Dropout(0.5)

    def forward(self, images):
        return self.inner(self.drop(images))


def dropped_engine(rank=0):
    preset = preset_of("vgg")
    group = Processes(torch.device("cpu"))
    group.rank = rank
    return TorchEngine(Dropped(translated("vgg")), preset, Settings(accumulate=2).completed(preset), group)


def test_a_dropout_goes_on_where_it_was():
    whole, part, other = dropped_engine(), dropped_engine(), dropped_engine(rank=1)
    batches = [batch(), batch()]
    first = whole.step(batches, 0.0)
    torch.manual_seed(1)
    part.load(whole.state(), 1)
    assert part.step(batches, 0.0) == whole.step(batches, 0.0) != first  # each update leaves out something else,
    assert other.step(batches, 0.0) != first  # and each process
