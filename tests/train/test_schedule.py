import numpy as np
import pytest

from ssdzoo.train.schedule import Schedule


def test_warm_up_then_steps():
    schedule = Schedule("step", 0.1, total_steps=100, warmup_steps=4, drops=(0.5, 0.9))
    assert [schedule(s) for s in (0, 1, 3, 4, 49)] == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.1])
    assert [schedule(s) for s in (50, 89, 90, 99)] == pytest.approx([0.01, 0.01, 0.001, 0.001])


def test_without_warm_up():
    assert Schedule("step", 0.2, total_steps=10)(0) == 0.2


def test_cosine():
    schedule = Schedule("cosine", 0.2, total_steps=104, warmup_steps=4)
    assert [schedule(s) for s in (1, 4, 29, 54, 79, 104)] == pytest.approx([0.1, 0.2, 0.1707107, 0.1, 0.0292893, 0])


def test_poly():
    schedule = Schedule("poly", 0.2, total_steps=100)
    assert [schedule(s) for s in (0, 50, 90)] == pytest.approx([0.2, 0.2 * 0.5**0.9, 0.2 * 0.1**0.9])


@pytest.mark.parametrize("kind", ["step", "cosine", "poly"])
def test_the_rate_rises_in_the_warm_up_and_falls_afterwards(kind):
    rates = [Schedule(kind, 1.0, 50, 10)(s) for s in range(60)]
    assert (np.diff(rates[:10]) > 0).all() and (np.diff(rates[10:]) <= 0).all() and max(rates) == 1 and min(rates) >= 0
