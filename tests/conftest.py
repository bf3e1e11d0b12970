"""Everything in the tests starts with mxnet's engine as the command line sets it on a CPU, without MXNet's server, and with a
cache of its own; of several processes (pytest-xdist) each has a core to itself, because their threads would fight."""

import gc
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ssdzoo import runtime
from ssdzoo.machine import cores

for name in os.environ.pop("SSDZOO_TESTS_CHOSE", "").split():  # of the process that starts the others, which has all cores
    os.environ.pop(name, None)
if "PYTEST_XDIST_WORKER" in os.environ:
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {usable[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % len(usable)]})
if sys.dont_write_bytecode:  # as in many containers: each process that a test starts would compile mxnet again, for seconds
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]
os.environ["SSDZOO_TESTS_CHOSE"] = " ".join(runtime.tune_cpu())
os.environ["SSDZOO_OFFLINE"] = "1"
_cache = tempfile.TemporaryDirectory()
os.environ["SSDZOO_CACHE"] = _cache.name
for variable in ("TORCH_HOME", "HF_HOME", "KERAS_HOME"):  # no files of the user's
    os.environ[variable] = f"{_cache.name}/{variable}"
for variable in ("SSDZOO_REPO", "MXNET_GLUON_REPO", "MXNET_HOME", "HF_HUB_CACHE"):
    os.environ.pop(variable, None)
# With these, typer and rich take every output for a terminal and style it; GitHub sets the first in all jobs.
for variable in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(variable, None)

# They begin first, so that no core is left alone with one of them at the end: what is not here takes 4 seconds a file at most.
SLOW = (
    "tests/train/",
    "tests/cli/",
    "tests/data/loading/",
    "tests/test_gluoncv_parity.py",
    "tests/test_docs.py",
    "tests/test_runtime.py",
    "tests/test_rectangular.py",
    "tests/test_symbol_preset.py",
    "tests/test_convert.py",
    "tests/test_packaging.py",
    "tests/export/",
    "tests/measure/",
    "tests/nn/",
    "tests/predict/",
    "tests/report/",
    "tests/weights/",
)


def pytest_xdist_auto_num_workers() -> int:
    """Of `--numprocesses=auto`. xdist does not know the quotas of containers."""
    return cores()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Each test, and the fixtures that begin with it, draw the same numbers whatever ran before."""
    random.seed(0)
    np.random.seed(0)
    if "mxnet" in sys.modules:
        sys.modules["mxnet"].random.seed(0)


STEP = 1 << 30  # bytes of growth after which a collection is due
_due = 2 * STEP


@pytest.fixture(autouse=True)
def free_networks():
    """Networks are cycles of references, which Python collects late: it counts objects, not their gigabytes. A collection walks
    over all objects of mxnet, torch and OpenVINO, so that one after each test would take longer than the tests."""
    global _due
    yield
    if _used_memory() > _due:
        gc.collect()
        _due = _used_memory() + STEP


def _used_memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
