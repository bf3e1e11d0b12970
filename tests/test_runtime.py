import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ssdzoo import runtime
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.machine import cores


def python(code, **environment):
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ("OMP_NUM_THREADS", "MXNET_ENGINE_TYPE", "GOMP_SPINCOUNT", "OPENCV_FOR_THREADS_NUM")
    }
    result = subprocess.run([sys.executable, "-c", code], env={**env, **environment}, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip(), result.stderr.strip()


@pytest.mark.long
@pytest.mark.parametrize("modules", ["ssdzoo, mxnet", "ssdzoo, gluoncv"])
def test_imports_say_nothing(modules):
    assert python(f"import {modules}") == ("", "")


BUILD = """
import ssdzoo
ssdzoo.runtime.tune_cpu()
import mxnet, gluoncv
mx = ssdzoo.runtime.mxnet()
for name in NAMES:
    net = ssdzoo.get_model(name)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    print(net(mx.nd.zeros((1, 3, 300, 300)))[0].shape)
print(mx is mxnet, ssdzoo.runtime.gluoncv() is gluoncv)
"""


@pytest.mark.parametrize(
    "names",
    [
        ["ssd_300_mobilenet0.25_voc"],
        pytest.param(["ssd_300_mobilenet0.25_voc", "ssd_300_resnet34_v1b_voc"], marks=pytest.mark.long),
    ],
)
def test_a_network_is_built_and_run_without_a_word(names):
    shapes = "(1, 100, 1)\n" * len(names)
    assert python(BUILD.replace("NAMES", repr(names))) == (f"{shapes}True True", "")


INTERRUPT = """
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == NAME:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    "name, code",
    [
        ("ssdzoo.cli.train", "from ssdzoo.cli import main\nmain(['models'])"),
        (
            "mxnet.gluon",
            "from ssdzoo import runtime\nruntime.tune_cpu()\ntry: runtime.mxnet()\nexcept KeyboardInterrupt: sys.exit(130)",
        ),
    ],
)
def test_ctrl_c_during_imports_shows_no_more_than_that_it_stopped(name, code):
    command = [sys.executable, "-c", INTERRUPT.replace("NAME", repr(name)) + code]
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS" and k != "MXNET_ENGINE_TYPE"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "") and done.stderr in ("", "ssdzoo: stopped\n")


def test_importing_ssdzoo_leaves_mxnet_alone():
    code = """
import sys
import ssdzoo, ssdzoo.boxes, ssdzoo.detections, ssdzoo.metrics, ssdzoo.data.loading.loader, ssdzoo.demo.shapes
import ssdzoo.report.pictures, ssdzoo.zoo, ssdzoo.cli.app, ssdzoo.predict.detector
print(ssdzoo.list_models()[0], "mxnet" in sys.modules)
"""
    assert python(code)[0] == "ssd_300_mobilenet0.25_coco False"


REFUSAL = """
def _require_pytorch_version(*versions):
    import torch
    raise RuntimeError(f"Legacy torch=={torch.__version__} detected")
"""
CHECKED = """
from .check import _require_pytorch_version
try:
    _require_pytorch_version("1", "2")
except ImportError:
    pass
"""


@pytest.fixture
def strict_gluoncv(tmp_path):
    """A folder with a torch and a gluoncv that refuses it as the real one does, and is quick."""
    (tmp_path / "gluoncv").mkdir()
    (tmp_path / "gluoncv" / "check.py").write_text(REFUSAL)
    checked = (
        "from .check import _require_pytorch_version\ntry:\n    _require_pytorch_version('1', '2')\nexcept ImportError:\n    pass"
    )
    (tmp_path / "gluoncv" / "__init__.py").write_text(checked)
    (tmp_path / "torch.py").write_text("__version__ = '2.13.0'\nclass Tensor: ...")
    return f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"


@pytest.mark.parametrize("modules", ["torch, ssdzoo, gluoncv", "ssdzoo, torch, gluoncv", "ssdzoo, gluoncv, torch"])
def test_gluoncv_imports_beside_a_torch_that_it_refuses(modules, strict_gluoncv):
    code = f"{strict_gluoncv}import {modules}\nprint(gluoncv.__name__, torch.Tensor.__name__, sys.modules['torch'] is torch)"
    assert python(code) == ("gluoncv Tensor True", "")


def test_a_gluoncv_that_has_refused_torch_is_imported_after_ssdzoo(strict_gluoncv):
    """As where Python read no .pth file when it started."""
    without = "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if getattr(f, '__module__', '') != 'ssdzoo_imports']\n"
    refused = "try:\n    import gluoncv\nexcept RuntimeError as error:\n    print(error)\n"
    code = f"{without}{strict_gluoncv}{refused}import ssdzoo, gluoncv\nprint(gluoncv.__name__)"
    assert python(code) == ("Legacy torch==2.13.0 detected\ngluoncv", "")


@pytest.mark.long
def test_torch_works_beside_gluoncv():
    pytest.importorskip("torch")
    code = """
import ssdzoo, gluoncv, torch, scipy.stats
print(torch.nn.Linear(2, 1)(torch.zeros(3, 2)).shape, scipy.stats.norm.cdf(0), ssdzoo.runtime.gluoncv() is gluoncv)
"""
    assert python(code) == ("torch.Size([3, 1]) 0.5 True", "")


def test_public_names():
    import ssdzoo

    for name in ssdzoo.__all__:
        assert getattr(ssdzoo, name) is not None and name in dir(ssdzoo)
    with pytest.raises(AttributeError, match="no attribute 'get_modle'"):
        _ = ssdzoo.get_modle


def test_preparing_twice_changes_nothing():
    import numpy as np

    before = {name: vars(np)[name] for name in ("bool", "object", "int", "float")}
    runtime.prepare()
    assert {name: vars(np)[name] for name in before} == before


CHOSEN = ["GOMP_SPINCOUNT", "MXNET_ENGINE_TYPE", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"]


@pytest.mark.parametrize(
    "environment, chosen",
    [
        ({}, CHOSEN),
        ({"OMP_NUM_THREADS": "7"}, ["GOMP_SPINCOUNT", "OPENCV_FOR_THREADS_NUM"]),
        ({"MXNET_ENGINE_TYPE": "NaiveEngine", "OMP_WAIT_POLICY": "active", "OPENCV_FOR_THREADS_NUM": "1"}, []),
    ],
)
def test_threads_and_engine_are_set_unless_the_user_has_set_either(environment, chosen, monkeypatch):
    for name in (*CHOSEN, "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sorted(runtime.cpu_settings(3)) == chosen
    assert runtime.cpu_settings(3).get("OMP_NUM_THREADS") == (None if environment else "3")
    assert runtime.mxnet() and runtime.tune_cpu() == {}  # too late for it
    assert {name: os.environ.get(name) for name in CHOSEN} == {name: environment.get(name) for name in CHOSEN}


def test_all_cores_are_used_by_default():
    code = "import os, ssdzoo.runtime as r; print(r.tune_cpu() == {n: os.environ[n] for n in %r}, os.environ['OMP_NUM_THREADS'])"
    assert python(code % CHOSEN)[0] == f"True {cores()}"


def test_operators_use_the_cores_that_are_free(monkeypatch):
    openmp = ctypes.CDLL("libgomp.so.1")
    before = openmp.omp_get_max_threads()
    for free in (3, 1):
        monkeypatch.setattr(runtime, "_free_cores", SimpleNamespace(count=lambda n=free: n))
        runtime.set_threads(runtime.free_threads())
        assert openmp.omp_get_max_threads() == free
    monkeypatch.setattr(runtime, "_free_cores", None)  # the user chose
    openmp.omp_set_num_threads(before)
    runtime.set_threads(runtime.free_threads())
    assert openmp.omp_get_max_threads() == before


def test_what_mxnet_says_while_it_is_imported_is_kept():
    code = """
import os, ssdzoo.runtime as r
with r._without_engine_line():
    os.write(2, b"MXNet start using engine: X\\nreal trouble\\n")
"""
    assert python(code, MXNET_ENGINE_TYPE="NaiveEngine")[1] == "real trouble"


def test_contexts_on_the_cpu():
    assert [str(c) for c in runtime.contexts()] == ["cpu(0)"] == [str(c) for c in runtime.contexts("")]


@pytest.mark.parametrize("gpus", ["a", "0,0", "0,00", "-1", "0,", "0;1", "²"])
def test_malformed_lists_of_gpus(gpus):
    with pytest.raises(CallError, match="expected different numbers such as 0 or 0,1"):
        runtime.contexts(gpus)


def test_gpus_without_cuda_name_the_wheel_in_one_line():
    if runtime.mxnet().runtime.Features().is_enabled("CUDA"):
        pytest.skip("this mxnet has CUDA")
    with pytest.raises(SSDZooError) as error:
        runtime.contexts("0,1")
    assert "mxnet-cu117==1.9.1" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_mxnet_is_explained():
    code = """
import sys
sys.modules["mxnet"] = None
import ssdzoo
print(ssdzoo.list_models("*lite_coco"), ssdzoo.metrics.VOCMeanAP(["a"]).value()["mAP"])
try:
    ssdzoo.get_model("ssd_300_vgg16_atrous_voc")
except ssdzoo.errors.SSDZooError as error:
    print(error)
"""
    out, _ = python(code)
    assert out.splitlines() == [
        "['ssd_300_mobilenet1.0_lite_coco'] nan",
        "mxnet can't be imported (not installed: pip install mxnet==1.9.1)",
    ]


def test_what_takes_long_to_import_is_imported_when_it_is_used():
    code = """
import sys
import ssdzoo.cli
assert not {"cv2", "ssdzoo.data.reading"} & set(sys.modules)
import ssdzoo.report.predictions
import mxnet
assert not {"matplotlib", "scipy.stats"} & set(sys.modules)
from mxnet import test_utils
from mxnet.contrib import quantization
assert (test_utils.ss.norm.cdf(0), quantization.stats.norm.cdf(0)) == (0.5, 0.5)
import scipy.stats
assert scipy.stats is sys.modules["scipy.stats"] and scipy.stats.__file__
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
