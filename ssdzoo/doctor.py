"""What ssdzoo needs of this machine, whether it is there, and the command that fixes what is not."""

import ctypes
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy

from ssdzoo.cgroups import cpu_quota
from ssdzoo.errors import SSDZooError
from ssdzoo.machine import Card, cores, nvidia_cards, package_version, processor
from ssdzoo.runtime import CUDA_LIBRARIES, CUDA_PACKAGES, GPU_WHEELS, MAX_CAPABILITY, cuda_wheel_files, mxnet
from ssdzoo.weights.converted import find_start
from ssdzoo.weights.published import ROOT, model_folder
from ssdzoo.zoo import find_preset, list_models

OK, NOTE, ERROR = "ok", "note", "error"
_INSTRUCTIONS = {"AMX": "amx_tile", "AVX-512": "avx512f", "AVX2": "avx2", "SSE4.1": "sse4_1"}  # and their flag in /proc/cpuinfo
_PACKAGES = {  # package: what it is for, and what pip installs it by
    "gluoncv": ("resnet34_v1b", "gluoncv==0.10.5.post0"),
    "onnx": ("export as ONNX", "'ssdzoo[onnx]'"),
    "onnxruntime": ("backend onnxruntime", "'ssdzoo[onnx]'"),
    "openvino": ("backend openvino", "'ssdzoo[openvino]'"),
    "torch": ("train --engine torch, backend torch", "'ssdzoo[torch]'"),
    "tensorboardX": ("train --log-to tensorboard", "'ssdzoo[tensorboard]'"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what, OK, NOTE or ERROR, what was found, and the command that fixes it, or None."""

    what: str
    state: str
    found: str
    remedy: str | None = None


def examine(root: str | Path = ROOT) -> list[Finding]:
    """All findings.

    Args:
        root: folder of published weights.
    """
    parts = (_python, _numpy, _mxnet, _processor, _threads, _gpus, _cuda_libraries, _packages)
    return [finding for part in parts for finding in part()] + _weights(model_folder(root)) + _space(model_folder(root))


def _python() -> list[Finding]:
    version, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    if not (3, 10) <= sys.version_info < (3, 13):
        return [Finding("Python", ERROR, f"{version}: mxnet's wheels end with 3.12", "install Python 3.11, and ssdzoo in it")]
    if system != "Linux x86_64":
        return [Finding("Python", NOTE, f"{version} on {system}: no mxnet here; conversion and ONNX work without it")]
    return [Finding("Python", OK, f"{version} on {system}, {sys.executable}")]


def _numpy() -> list[Finding]:
    if int(numpy.__version__.split(".")[0]) > 1:
        return [Finding("numpy", ERROR, f"{numpy.__version__}: mxnet needs numpy 1", "pip install 'numpy<2'")]
    return [Finding("numpy", OK, numpy.__version__)]


def _mxnet() -> list[Finding]:
    installed = [name for name in ("mxnet", *CUDA_PACKAGES) if package_version(name)]
    if len(installed) > 1:
        remedy = f"pip uninstall -y {' '.join(installed)}, then install one"
        return [Finding("mxnet", ERROR, f"{' and '.join(installed)} own the same module", remedy)]
    try:
        mx = mxnet()
    except SSDZooError as error:
        command = re.search(r"(pip|apt) install .*?(?=\)|$)", str(error))
        return [Finding("mxnet", ERROR, str(error), command and command[0])]
    cuda = "with" if mx.runtime.Features().is_enabled("CUDA") else "without"
    return [Finding("mxnet", OK, f"{mx.__version__} ({', '.join(installed) or 'not by pip'}), {cuda} CUDA")]


def _processor() -> list[Finding]:
    """The widest instruction set that oneDNN inside of mxnet and OpenVINO can use."""
    flags = set((processor("flags") or "").split())
    sets = [name for name, flag in _INSTRUCTIONS.items() if flag in flags]
    half = ", bf16 in hardware" if flags & {"amx_bf16", "avx512_bf16"} else ""
    return [Finding("processor", OK if sets else NOTE, f"{', '.join(sets) or 'instruction sets unknown'}{half}")]


def _threads() -> list[Finding]:
    quota, chosen = cpu_quota(), {n: os.environ[n] for n in ("OMP_NUM_THREADS", "MXNET_ENGINE_TYPE") if n in os.environ}
    limit = "" if quota is None else f" (the container's quota is {quota:g})"
    if not chosen:
        found = f"{cores()} cores{limit}; ssdzoo's commands take those that other programs leave free, with MXNet's NaiveEngine"
        return [Finding("threads", OK, found)]
    said = ", ".join(f"{name}={value}" for name, value in chosen.items())
    found = f"{cores()} cores{limit}; {said} is set, so ssdzoo chooses neither threads nor engine"
    return [Finding("threads", NOTE, found, f"unset {' '.join(chosen)}")]


def _gpus() -> list[Finding]:
    try:
        cards = nvidia_cards()
    except SSDZooError as error:
        return [Finding("GPUs", NOTE, str(error))]
    if cards is None:
        return [Finding("GPUs", OK, "none (no nvidia-smi)")]
    return [_gpu(card) for card in cards]


def _gpu(card: Card) -> Finding:
    """Which engine fits it: mxnet where its wheel has code for it, else torch."""
    what, described = f"GPU {card.index}", f"{card}, {card.memory}"
    if card.capability <= MAX_CAPABILITY and any(package_version(name) for name in CUDA_PACKAGES):
        return Finding(what, OK, f"{described}: mxnet runs on it, and torch does")
    reason = "this mxnet has no CUDA" if card.capability <= MAX_CAPABILITY else "mxnet contains no code for it"
    found = f"{described}: {reason}; train with --engine torch, predict with --backend torch"
    codes = _torch_codes()
    if codes is None:
        return Finding(what, NOTE, f"{found}; torch is not installed", "pip install 'ssdzoo[torch]'")
    if not codes:
        return Finding(what, NOTE, f"{found}; this torch has no CUDA", "pip uninstall -y torch && pip install torch")
    if not any(_runs(code, card.capability) for code in codes):
        return Finding(what, NOTE, f"{found}; this torch has code for {', '.join(codes)} alone", "pip install --upgrade torch")
    return Finding(what, OK, f"{found} --gpus {card.index}")


def _torch_codes() -> list[str] | None:
    """What the installed torch contains code for, such as "sm_90"; empty without CUDA; None without torch."""
    if package_version("torch") is None:
        return None
    try:
        import torch
    except (ImportError, OSError):
        return None
    return torch.cuda.get_arch_list()


def _runs(code: str, capability: float) -> bool:
    """Whether code such as "sm_90" runs on a card: on one of its own generation that is not older. PTX, "compute_90", runs on all
    that are not older."""
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", code)
    if match is None:
        return False
    own = float(f"{match[2]}.{match[3]}")
    return own <= capability and (match[1] == "compute" or int(own) == int(capability))


def _cuda_libraries() -> list[Finding]:
    if not any(package_version(name) for name in CUDA_PACKAGES):
        return []
    missing = [name for name in CUDA_LIBRARIES if not cuda_wheel_files(name) and not _loads(name)]
    if missing:
        return [Finding("CUDA libraries", ERROR, f"missing: {', '.join(missing)}", GPU_WHEELS)]
    return [Finding("CUDA libraries", OK, f"all {len(CUDA_LIBRARIES)} found")]


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _packages() -> list[Finding]:
    findings = []
    for package, (use, source) in _PACKAGES.items():
        version = package_version(package) or (package == "onnxruntime" and package_version("onnxruntime-gpu"))
        found, remedy = (f"{version}, for {use}", None) if version else (f"missing, for {use}", f"pip install {source}")
        findings.append(Finding(package, OK if version else NOTE, found, remedy))
    return findings


def _weights(folder: Path) -> list[Finding]:
    starts = [find_start(name, folder) for name in dict.fromkeys(find_preset(name).backbone for name in list_models())]
    here = sum(start.here is not None for start in starts)
    hosts = sorted({start.source.host for start in starts if start.source and not start.here})
    offline = bool(hosts and os.environ.get("SSDZOO_OFFLINE"))
    others = "cannot be downloaded, because SSDZOO_OFFLINE is set" if offline else f"are downloaded from {', '.join(hosts)}"
    mirrors = [os.environ[name] for name in ("SSDZOO_REPO", "MXNET_GLUON_REPO") if os.environ.get(name)]
    files = len(list(folder.glob("*.params")))
    found = f"{files} parameter files in {folder}; mirrors: {', '.join(mirrors) or 'none (SSDZOO_REPO)'}"
    backbones = f"{here} of {len(starts)} are on this machine" + f"; the others {others}" * bool(hosts)
    return [
        Finding("published weights", NOTE if offline and not files and not mirrors else OK, found),
        Finding("backbones", NOTE if offline else OK, backbones, "ssdzoo models --weights"),
    ]


def _space(weights: Path) -> list[Finding]:
    findings = []
    for what, folder in (("disk of this folder", Path.cwd()), ("disk of the weights", weights)):
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free / 2**30
        state, remedy = (OK, None) if free > 2 else (NOTE, "make room: a run of a VGG keeps about 0.7 GiB")
        findings.append(Finding(what, state, f"{free:.1f} GiB free in {folder}", remedy))
    return findings
