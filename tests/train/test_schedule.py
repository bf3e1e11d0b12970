import pytest

from ssdzoo.train.schedule import StepSchedule


def test_warm_up_then_steps():
    schedule = StepSchedule(0.1, total_steps=100, warmup_steps=4, drops=(0.5, 0.9))
    assert [schedule(s) for s in (0, 1, 3, 4, 49)] == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.1])
    assert [schedule(s) for s in (50, 89, 90, 99)] == pytest.approx([0.01, 0.01, 0.001, 0.001])


def test_without_warm_up():
    assert StepSchedule(0.2, total_steps=10)(0) == 0.2
