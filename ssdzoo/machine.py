"""What this process runs on: processor, cores, versions of packages; and what libraries print past Python."""

import contextlib
import ctypes
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import ModuleType

from ssdzoo.cgroups import cpu_quota, memory_limit
from ssdzoo.errors import SSDZooError

DETECTING = ("mxnet", "numpy", "opencv-python", "onnx", "onnxruntime", "openvino", "torch")  # packages that shape what is found


def cores() -> int:
    """How many this process may use: those that it may run on, as far as the quota of its container and `OMP_NUM_THREADS` go.
    A quota of 1.5 is 1: threads that wait for each other waste the rest."""
    limits: list[float] = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    if (quota := cpu_quota()) is not None:
        limits.append(quota)
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal():
        limits.append(int(wanted))
    return max(1, int(min(limits)))


def memory() -> int | None:
    """How many bytes this process may use: those of the machine, or of its control group where that has fewer; None where the
    system does not say."""
    sizes = [] if (limit := memory_limit()) is None else [limit]  # of version 1, a huge number where there is no limit
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(sizes, default=None)


def processor(field: str) -> str | None:
    """A field of the first processor in /proc/cpuinfo, such as "model name" or "flags"; None where there is none."""
    info = Path("/proc/cpuinfo")
    match = re.search(rf"^{field}\s*:\s*(.+)$", info.read_text("utf-8", "replace"), re.M) if info.is_file() else None
    return match and match[1]


def machine_summary() -> dict[str, str | int | None]:
    """{"processor", "cores", "system"}, for results that depend on them."""
    name = processor("model name") or platform.processor() or None
    return {"processor": name, "cores": cores(), "system": f"{platform.system()} {platform.machine()}"}


@dataclass(frozen=True)
class Card:
    """A GPU of NVIDIA's.

    Attributes:
        index: its number, by the driver's order.
        name: such as "NVIDIA L4".
        capability: its compute capability, such as 8.9.
        memory: such as "23034 MiB".
    """

    index: int
    name: str
    capability: float
    memory: str

    def __str__(self) -> str:
        return f"{self.name}, compute capability {self.capability}"


def count_as_driver() -> None:
    """Makes CUDA number the GPUs as nvidia-smi and `ssdzoo doctor` do, by their place on the bus, unless the user has said how.
    By itself it begins with the fastest. Without effect once CUDA runs in this process."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def visible_cards() -> list[Card] | None:
    """The GPUs that CUDA may use, with the numbers that it gives them: of `nvidia_cards` those that the environment variable
    CUDA_VISIBLE_DEVICES lists, in its order. None without a driver, or where the variable names them by anything but numbers.

    Raises:
        SSDZooError: as `nvidia_cards`.
    """
    count_as_driver()
    cards, listed = nvidia_cards(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if cards is None or listed is None or os.environ["CUDA_DEVICE_ORDER"] != "PCI_BUS_ID":
        return cards if listed is None else None
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not all(name.isascii() and name.isdecimal() for name in names):
        return None
    by_index = {card.index: card for card in cards}
    return [replace(by_index[int(name)], index=i) for i, name in enumerate(names) if int(name) in by_index]


def nvidia_cards() -> list[Card] | None:
    """The GPUs that NVIDIA's driver sees; None without a driver.

    Raises:
        SSDZooError: its program nvidia-smi fails, or prints something else.
    """
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=index,name,compute_cap,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        rows = [[part.strip() for part in line.split(",")] for line in done.stdout.strip().splitlines()]
        return [Card(int(index), name, float(capability), memory) for index, name, capability, memory in rows]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SSDZooError(f"nvidia-smi failed: {error}") from None


def package_version(distribution: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def import_package(name: str, extra: str) -> ModuleType:
    """A package that an extra of ssdzoo installs.

    Raises:
        SSDZooError: it can't be imported; says how to install it.
    """
    try:
        with _untold():
            return importlib.import_module(name)
    except ImportError as error:
        raise SSDZooError(f"the package {name} is not installed ({error}): pip install 'ssdzoo[{extra}]'") from None


@contextlib.contextmanager
def _untold() -> Iterator[None]:
    """Around an import of onnxruntime or OpenVINO. From then on they would tell their makers what they run, and keep a record of
    it in the user's home. OpenVINO has no switch for that, but goes without the package that does it."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    is_hidden = "openvino_telemetry" not in sys.modules
    if is_hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_hidden:
            del sys.modules["openvino_telemetry"]


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """{name: version or None} of ssdzoo, Python and the packages, for results that depend on them."""
    from ssdzoo.version import __version__

    return {"ssdzoo": __version__, "python": platform.python_version(), **{name: package_version(name) for name in packages}}


@contextlib.contextmanager
def captured_stderr(printed: list) -> Iterator[None]:
    """Collects what the block writes to standard error, libraries in C too: its lines, bytes, are in `printed` afterwards."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            file.seek(0)
            printed += file


def open_standard_streams() -> None:
    """Gives a process that was started without standard streams empty ones. A file that it opens would take their numbers
    otherwise, and then holds what libraries print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # Python prints what is for None on standard output
            setattr(sys, name, os.fdopen(number, "r+" if number else "r", encoding="utf-8", closefd=False))


@contextlib.contextmanager
def without_lines(part: bytes) -> Iterator[None]:
    """Keeps lines with this part off standard error, which libraries in C print there. The others follow when the block ends."""
    printed: list[bytes] = []
    try:
        with captured_stderr(printed):
            yield
    finally:
        os.write(2, b"".join(line for line in printed if part not in line))


_NO_STACK = 2  # SS_DISABLE


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Gives this thread its alternate signal stack back when the block ends, or none where it had none.

    OpenVINO's plugin for the CPU puts one of its own there when it is loaded, and frees its memory when it goes. Where it goes in
    another thread, or after another one that was loaded later, the thread is left with a stack that is no memory, and the next
    Ctrl-C ends the process (SIGSEGV): Python handles signals on the alternate stack.
    """
    if sys.platform != "linux":
        yield
        return
    exchange, before = ctypes.CDLL(None).sigaltstack, _SignalStack()
    exchange(None, ctypes.byref(before))
    try:
        yield
    finally:
        if exchange(ctypes.byref(before), None):  # too small for the registers that the processor now has to save there
            exchange(ctypes.byref(_SignalStack(flags=_NO_STACK)), None)
