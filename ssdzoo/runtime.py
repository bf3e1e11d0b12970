"""The one place that imports mxnet: what it needs from numpy and CUDA, its threads, its contexts, its errors."""

import ctypes
import importlib.util
import os
import shutil
import sys
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo import import_hooks
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.free_cores import FreeCores
from ssdzoo.machine import Card, cores, package_version, visible_cards, without_lines

# Aliases that numpy dropped in 1.24 and that mxnet 1.9.1 and gluoncv 0.10.5 still read.
_NUMPY_ALIASES = {"bool": bool, "int": int, "float": float, "object": object}

# In the order in which they depend on each other; each wheel `nvidia-*-cu11` holds some.
CUDA_LIBRARIES = (
    "libcudart.so.11.0", "libnvrtc.so.11.2", "libcublasLt.so.11", "libcublas.so.11", "libcufft.so.10", "libcurand.so.10",
    "libcusparse.so.11", "libcusolver.so.11", "libcudnn.so.8", "libnccl.so.2", "libnvToolsExt.so.1",
)  # fmt: skip

CUDA_PACKAGES = ("mxnet-cu117", "mxnet-cu112")
MAX_CAPABILITY = 8.9  # the newest that they contain code for

GPU_WHEELS = (
    "pip uninstall -y mxnet && pip install mxnet-cu117==1.9.1 nvidia-cudnn-cu11==8.6.0.163 nvidia-cublas-cu11 "
    "nvidia-cufft-cu11 nvidia-curand-cu11 nvidia-cusolver-cu11 nvidia-cusparse-cu11 nvidia-cuda-runtime-cu11 "
    "nvidia-cuda-nvrtc-cu11 nvidia-nccl-cu11 nvidia-nvtx-cu11"
)


# Threads of OpenMP spin while they wait for each other. Without a limit, they take the time of the very thread that they wait for
# where other programs run too. Threads that sleep at once (OMP_WAIT_POLICY=passive) are slower where none runs.
SPIN_COUNT = "1000"

_free_cores: FreeCores | None = None  # where `tune_cpu` chose the number of threads


def prepare() -> None:
    """Makes `import mxnet` work with numpy 1.23 to 1.26 and on Python 3.12, and `import gluoncv` beside torch 2; doing it again
    changes nothing."""
    for name, builtin in _NUMPY_ALIASES.items():
        # vars(), because asking numpy for a dropped alias warns or raises.
        if name not in vars(np):
            setattr(np, name, builtin)
    if sys.version_info >= (3, 12) and "distutils" not in sys.modules:
        # mxnet asks distutils for LooseVersion; setuptools carries the distutils that Python 3.12 dropped.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                import setuptools  # noqa: F401
            except ImportError:
                pass
    import_hooks.install()


def __getattr__(name: str) -> Any:
    """`from ssdzoo.runtime import mx` imports mxnet, and no other line of this module does."""
    if name != "mx":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return mxnet()


@lru_cache(maxsize=1)
def mxnet() -> Any:
    """The mxnet module.

    Raises:
        SSDZooError: it can't be imported; says what to install.
    """
    prepare()
    try:
        if "mxnet" not in sys.modules:
            _load_cuda_wheels()
        with warnings.catch_warnings(), _without_engine_line():
            warnings.simplefilter("ignore")
            import mxnet as module

            module.nd.waitall()  # starts the engine
    except (ImportError, OSError, AttributeError) as error:
        raise SSDZooError(f"mxnet can't be imported ({_why(error)})") from error
    return module


@lru_cache(maxsize=1)
def gluoncv() -> Any:
    """The gluoncv module, which a few backbones come from.

    Raises:
        SSDZooError: it can't be imported.
    """
    mxnet()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import gluoncv as module
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise SSDZooError(f"gluoncv can't be imported ({error}): pip install gluoncv==0.10.5.post0") from error
    return module


@contextmanager
def _without_engine_line():
    """Keeps one line off the screen: mxnet's library announces on standard error that its engine is not the usual one."""
    if os.environ.get("MXNET_ENGINE_TYPE", "ThreadedEnginePerDevice") == "ThreadedEnginePerDevice":
        yield
        return
    with without_lines(b"MXNet start using engine"):
        try:
            yield
        except KeyboardInterrupt:
            # The library starts its engine when the process ends, at the latest, and prints the line behind all others.
            if library := getattr(sys.modules.get("mxnet.base"), "_LIB", None):
                library.MXNDArrayWaitAll()
            raise


def _why(error: BaseException) -> str:
    if not sys.platform.startswith("linux") or sys.version_info >= (3, 13):
        return "its wheels are for Linux on x86-64 and Python below 3.13: install ssdzoo there, in Python 3.11 for example"
    if int(np.__version__.split(".")[0]) > 1:
        return f"it needs numpy 1, this is {np.__version__}: pip install 'numpy<2'"
    if isinstance(error, ModuleNotFoundError) and error.name == "mxnet":
        return "not installed: pip install mxnet==1.9.1"
    if "failed to map segment" in str(error):
        return f"{error}: memory ran out"
    return f"{error}; a missing lib*.so.1 comes with apt install libgomp1 libquadmath0"


def _load_cuda_wheels() -> None:
    if any(package_version(name) for name in CUDA_PACKAGES):
        for path in (path for library in CUDA_LIBRARIES for path in cuda_wheel_files(library)):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def cuda_wheel_files(library: str) -> list[Path]:
    """Where pip's nvidia-*-cu11 wheels hold a CUDA library. The linker does not look there."""
    spec = importlib.util.find_spec("nvidia")
    folders = (spec and spec.submodule_search_locations) or ()
    return [path for folder in folders for path in Path(folder).glob(f"*/lib/{library}")]


def tune_cpu() -> dict:
    """Sets the threads and the engine that are fastest on a CPU: all cores, and operators one after another.

    mxnet reads both when it is first imported: after that, and where the user has set either, they stay as they are. How long
    threads spin is set unless the user has set that. Returns what was set. Beside other programs fewer threads work: see
    `free_threads`.
    """
    global _free_cores
    if "mxnet" in sys.modules:
        return {}
    chosen = cpu_settings(cores())
    if int(chosen.get("OMP_NUM_THREADS", 1)) > 1:
        _free_cores = FreeCores()
    os.environ.update(chosen)
    return chosen


def free_threads() -> int | None:
    """How many threads a network should use now, which is how many cores other programs leave free; None where the user, and not
    `tune_cpu`, chose their number. It costs little: ask before each pass through a network.

    A training asks once, at its start: sums are rounded differently by another number of threads, and it must be possible to
    repeat it.
    """
    return None if _free_cores is None else _free_cores.count()


def set_threads(count: int | None) -> None:
    """Lets the operators of mxnet that this thread calls use that many threads; None leaves them as they are.

    mxnet asks OpenMP for the number at each operator, unless its usual engine has threads of its own.
    """
    if count is not None:
        ctypes.CDLL("libgomp.so.1").omp_set_num_threads(count)


def cpu_settings(threads: int) -> dict:
    """The environment variables of `tune_cpu`, as far as the user has left them free."""
    chosen: dict[str, str] = {}
    if not {"OMP_NUM_THREADS", "MXNET_ENGINE_TYPE"} & set(os.environ):
        chosen.update(OMP_NUM_THREADS=str(threads), MXNET_ENGINE_TYPE="NaiveEngine")
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        chosen["GOMP_SPINCOUNT"] = SPIN_COUNT
    if "OPENCV_FOR_THREADS_NUM" not in os.environ:
        chosen["OPENCV_FOR_THREADS_NUM"] = str(threads)
    return chosen


def gpu_numbers(gpus: str) -> list[int]:
    """The numbers in a list of GPUs such as "0,1".

    Raises:
        CallError: not a list of different numbers.
    """
    numbers = gpus.replace(" ", "").split(",")
    if not all(n.isascii() and n.isdigit() for n in numbers) or len(set(map(int, numbers))) < len(numbers):
        raise CallError(f"gpus={gpus!r}: expected different numbers such as 0 or 0,1")
    return list(map(int, numbers))


def too_new(numbers: Iterable[int]) -> Card | None:
    """The first of these GPUs that mxnet has no code for; None where there is none, or no driver that says it."""
    try:
        cards = visible_cards() or []
    except SSDZooError:
        return None
    return next((card for card in cards if card.index in set(numbers) and card.capability > MAX_CAPABILITY), None)


def runs_on(gpus: str) -> bool:
    """Whether the mxnet that is installed can use a list of GPUs such as "0,1", as far as one can say without importing it.

    Raises:
        CallError: not a list of different numbers.
    """
    numbers = gpu_numbers(gpus)
    return any(package_version(name) for name in CUDA_PACKAGES) and not too_new(numbers)


def contexts(gpus: str | None = None) -> list:
    """The contexts of a list of GPUs such as "0,1"; without one [cpu(0)].

    Raises:
        CallError: not a list of different numbers.
        SSDZooError: this mxnet has no CUDA or no code for such a GPU, or the machine has no such GPU.
    """
    if not gpus:
        return [mxnet().cpu(0)]
    numbers = gpu_numbers(gpus)
    newer = "engine=torch trains and backend=torch predicts"
    if card := too_new(numbers):
        raise SSDZooError(
            f"gpus={gpus}: mxnet has no code for GPU {card.index} ({card}), only up to {MAX_CAPABILITY}; on it, {newer}"
        )
    mx = mxnet()
    if not mx.runtime.Features().is_enabled("CUDA"):
        unseen = "" if shutil.which("nvidia-smi") else "no NVIDIA driver is to be seen here (nvidia-smi), and "
        raise SSDZooError(
            f"gpus={gpus}: {unseen}this mxnet has no CUDA; on any card {newer} (pip install 'ssdzoo[torch]'); for mxnet on "
            f"cards of compute capability 5.0 to {MAX_CAPABILITY} (up to Ada; it has no code for newer ones): {GPU_WHEELS}"
        )
    count = mx.context.num_gpus()
    missing = [n for n in numbers if n >= count]
    if missing:
        raise SSDZooError(f"gpus={gpus}: there is no GPU {missing[0]}; mxnet sees {count}")
    return [mx.gpu(n) for n in numbers]
