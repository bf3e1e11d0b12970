"""What ssdzoo needs of this machine, whether it is there, and the command that fixes what is not."""

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ssdzoo.machine import cores, package_version, processor

OK, NOTE, ERROR = "ok", "note", "error"
_MAX_CAPABILITY = 8.9  # the newest that mxnet-cu117 contains code for
_PACKAGES = {  # package: what it is for, and the extra that installs it
    "onnx": ("export as ONNX", "onnx"),
    "onnxruntime": ("backend onnxruntime", "onnx"),
    "openvino": ("backend openvino", "openvino"),
    "torch": ("reading .pth", "torch"),
    "tensorboardX": ("train --tensorboard", "tensorboard"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what, OK, NOTE or ERROR, what was found, and the command that fixes it, or None."""

    what: str
    state: str
    found: str
    remedy: str | None = None

    def to_dict(self) -> dict:
        return asdict(self)


def examine(root: str | Path | None = None) -> list[Finding]:
    """All findings.

    Args:
        root: folder of published weights; None for the usual one.
    """
    parts = (_python, _numpy, _mxnet, _gluoncv, _processor, _threads, _gpus, _cuda_libraries, _packages)
    return [finding for part in parts for finding in part()] + _weights(root) + _space(root)


def _python() -> list:
    version, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    if not (3, 10) <= sys.version_info < (3, 13):
        return [Finding("Python", ERROR, f"{version}: mxnet's wheels end with 3.12", "install Python 3.11, and ssdzoo in it")]
    if system != "Linux x86_64":
        return [Finding("Python", NOTE, f"{version} on {system}: no mxnet here; conversion and ONNX work without it")]
    return [Finding("Python", OK, f"{version} on {system}, {sys.executable}")]


def _numpy() -> list:
    import numpy

    if int(numpy.__version__.split(".")[0]) > 1:
        return [Finding("numpy", ERROR, f"{numpy.__version__}: mxnet needs numpy 1", "pip install 'numpy<2'")]
    return [Finding("numpy", OK, numpy.__version__)]


def _mxnet() -> list:
    from ssdzoo.errors import SSDZooError
    from ssdzoo.runtime import mxnet

    installed = [name for name in ("mxnet", "mxnet-cu117", "mxnet-cu112") if package_version(name)]
    if len(installed) > 1:
        return [
            Finding(
                "mxnet",
                ERROR,
                f"{' and '.join(installed)} own the same module",
                f"pip uninstall -y {' '.join(installed)}, then install one",
            )
        ]
    try:
        mx = mxnet()
    except SSDZooError as error:
        remedy = re.search(r"(pip|apt) install .*?(?=\)|$)", str(error))
        return [Finding("mxnet", ERROR, str(error), remedy and remedy[0])]
    cuda = mx.runtime.Features().is_enabled("CUDA")
    return [
        Finding("mxnet", OK, f"{mx.__version__} ({', '.join(installed) or 'not by pip'}), {'with' if cuda else 'without'} CUDA")
    ]


def _gluoncv() -> list:
    version = package_version("gluoncv")
    if not version:
        return [Finding("gluoncv", NOTE, "missing: needed for resnet34_v1b", "pip install gluoncv==0.10.5.post0")]
    return [Finding("gluoncv", OK, version)]


def _processor() -> list:
    """The widest instruction set that oneDNN inside of mxnet and OpenVINO can use."""
    flags = set((processor("flags") or "").split())
    sets = [
        name
        for name, flag in (("AMX", "amx_tile"), ("AVX-512", "avx512f"), ("AVX2", "avx2"), ("SSE4.1", "sse4_1"))
        if flag in flags
    ]
    half = ", bf16 in hardware" if flags & {"amx_bf16", "avx512_bf16"} else ""
    return [Finding("processor", OK if sets else NOTE, f"{', '.join(sets) or 'instruction sets unknown'}{half}")]


def _threads() -> list:
    chosen = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MXNET_ENGINE_TYPE") if name in os.environ}
    if not chosen:
        return [Finding("threads", OK, f"{cores()} cores; ssdzoo's commands take all of them, with MXNet's NaiveEngine")]
    said = ", ".join(f"{name}={value}" for name, value in chosen.items())
    return [
        Finding(
            "threads",
            NOTE,
            f"{cores()} cores; {said} is set, so ssdzoo chooses neither threads nor engine",
            f"unset {' '.join(chosen)}",
        )
    ]


def _gpus() -> list:
    if not shutil.which("nvidia-smi"):
        return [Finding("GPUs", OK, "none (no nvidia-smi)")]
    command = ["nvidia-smi", "--query-gpu=index,name,compute_cap,memory.total", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        return [Finding("GPUs", NOTE, f"nvidia-smi failed: {error}")]
    return [_gpu(*(part.strip() for part in line.split(",", 3))) for line in lines if line.count(",") >= 3]


def _gpu(index: str, name: str, capability: str, memory: str) -> Finding:
    what = f"GPU {index}"
    described = f"{name}, compute capability {capability}, {memory}"
    if float(capability) > _MAX_CAPABILITY:
        return Finding(
            what, NOTE, f"{described}: mxnet contains no code for it; export the model and run it with onnxruntime",
            "pip install onnxruntime-gpu",
        )  # fmt: skip
    return Finding(what, OK, described)


def _cuda_libraries() -> list:
    from ssdzoo.runtime import CUDA_LIBRARIES, GPU_WHEELS

    if not any(package_version(name) for name in ("mxnet-cu117", "mxnet-cu112")):
        return []
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(p) for p in spec.submodule_search_locations or ()] if spec else []
    missing = [name for name in CUDA_LIBRARIES if not any(f.glob(f"*/lib/{name}") for f in folders) and not _loads(name)]
    if missing:
        return [Finding("CUDA libraries", ERROR, f"missing: {', '.join(missing)}", GPU_WHEELS)]
    return [Finding("CUDA libraries", OK, f"all {len(CUDA_LIBRARIES)} found")]


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _packages() -> list:
    findings = []
    for package, (use, extra) in _PACKAGES.items():
        version = package_version(package) or (package == "onnxruntime" and package_version("onnxruntime-gpu"))
        if version:
            findings.append(Finding(package, OK, f"{version}, for {use}"))
        else:
            findings.append(Finding(package, NOTE, f"missing, for {use}", f"pip install 'ssdzoo[{extra}]'"))
    return findings


def _weights(root: str | Path | None) -> list:
    folder = _folder(root)
    files = sorted(folder.glob("*.params")) if folder.is_dir() else []
    mirrors = [os.environ[name] for name in ("SSDZOO_REPO", "MXNET_GLUON_REPO") if os.environ.get(name)]
    found = f"{len(files)} parameter files in {folder}; mirrors: {', '.join(mirrors) or 'none (SSDZOO_REPO)'}"
    return [Finding("published weights", OK if files or mirrors else NOTE, found)]


def _folder(root: str | Path | None) -> Path:
    from ssdzoo.weights.published import model_folder

    return model_folder(root) if root else model_folder()


def _space(root: str | Path | None) -> list:
    findings = []
    for what, folder in (("disk of this folder", Path.cwd()), ("disk of the weights", _folder(root))):
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free / 2**30
        remedy = None if free > 2 else "make room: a run of a VGG keeps about 0.7 GiB"
        findings.append(Finding(what, OK if free > 2 else NOTE, f"{free:.1f} GiB free in {folder}", remedy))
    return findings
