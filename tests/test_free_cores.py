"""The cores that other programs leave free, by what the kernel shows of their times."""

import os
from types import SimpleNamespace

import pytest

from ssdzoo import free_cores
from ssdzoo.free_cores import FreeCores

TICKS = os.sysconf("SC_CLK_TCK")
STAT = "cpu  1 1 1 1\ncpu0 {0} 0 0 9 9 0 0 0 0 0\ncpu1 0 {1} 0 9 9 0 0 0 0 0\ncpu2 {2} 0 0 9 9 0 0 0 0 0\nintr 12 13\n"
CHILD = "7 (a) name) R 1 7 7 0 -1 0 0 0 0 0 {0} {1} 0 0 20 0 1 0 5\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of which this process may use the first two of three cores: `pass_seconds(seconds, used by each core, by this
    process, by its child)`."""
    now = SimpleNamespace(time=0.0, cores=[0.0] * 3, own=0.0, child=0.0)
    monkeypatch.setattr(free_cores.os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(free_cores, "cores", lambda: 2)
    monkeypatch.setattr(free_cores.time, "monotonic", lambda: now.time)
    monkeypatch.setattr(free_cores.time, "process_time", lambda: now.own)
    monkeypatch.setattr(free_cores.multiprocessing, "active_children", lambda: [SimpleNamespace(pid=7)])
    (tmp_path / "7").mkdir()

    def pass_seconds(seconds, used=(0, 0, 0), own=0, child=0):
        now.time, now.own, now.child = now.time + seconds, now.own + own, now.child + child
        now.cores = [a + b for a, b in zip(now.cores, used)]
        (tmp_path / "stat").write_text(STAT.format(*(int(s * TICKS) for s in now.cores)))
        (tmp_path / "7" / "stat").write_text(CHILD.format(int(now.child * TICKS), 0))

    pass_seconds(0)
    return SimpleNamespace(proc=tmp_path, pass_seconds=pass_seconds)


@pytest.mark.parametrize(
    ("used", "own", "child", "expected"),
    [
        ((0, 0, 0), 0, 0, 2),
        ((1, 1, 1), 2, 0, 2),  # both cores work for this process, the third is not allowed
        ((1, 1, 1), 1.2, 0.8, 2),  # and for its child
        ((0.4, 0, 0), 0, 0, 2),
        ((1, 0.9, 0), 1, 0, 1),
        ((1, 1, 0), 0, 0, 1),  # others leave nothing: one thread still works
        ((0, 0, 1), 0, 0, 2),
    ],
)
def test_what_others_leave(machine, used, own, child, expected):
    free = FreeCores(machine.proc)
    machine.pass_seconds(1, used, own, child)
    assert free.count() == expected


def test_it_looks_again_after_half_a_second(machine):
    free = FreeCores(machine.proc)
    machine.pass_seconds(0.4, (0.4, 0.4, 0))
    assert free.count() == 2
    machine.pass_seconds(0.2, (0.2, 0.2, 0))
    assert free.count() == 1
    machine.pass_seconds(0.6)
    assert free.count() == 2


def test_without_proc_all_cores_are_free(machine, tmp_path):
    free = FreeCores(tmp_path / "none")
    machine.pass_seconds(1, own=1)
    assert free.count() == 2
