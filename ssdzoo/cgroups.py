"""How much processor time and memory this process may take: the limits of Linux control groups, of version 1 and 2.

Containers are limited this way (`docker run --cpus --memory`, limits in Kubernetes), and so are services of systemd. They still
see all processors and all memory of their machine.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path


def cpu_quota(root: str | Path = "/") -> float | None:
    """The processors that the tightest quota is worth, such as 1.5; None without a quota.

    A group may have one of its own, and each group above it too.

    Args:
        root: where /proc and the paths that it names are looked for.
    """
    root = Path(root)
    quotas = [quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


@lru_cache(maxsize=1)
def memory_limit(root: str | Path = "/") -> int | None:
    """The bytes of memory of the tightest limit; None without a limit. Looked up once, because it is asked for each file.

    Args:
        root: see `cpu_quota`.
    """
    files = [group / name for group in _groups(Path(root), "memory") for name in ("memory.max", "memory.limit_in_bytes")]
    return min((int(text) for file in files for text in read_lines(file)[:1] if text.isdecimal()), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the groups of a controller, "cpu" or "memory", that this process is in."""
    memberships = [line.split(":", 2) for line in read_lines(root / "proc/self/cgroup")]
    paths = {version: path for _, names, path in memberships if (version := _version(names.split(","), controller)) is not None}
    for line in read_lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        (top, place), (kind, _, options) = mount.split(" ")[3:5], system.split(" ", 2)
        version = 2 if kind == "cgroup2" else _version(options.split(","), controller) if kind == "cgroup" else None
        if version in paths:
            # In a container, the path is as the machine sees it, and the folder begins at the container's own group.
            inside = os.path.relpath(paths[version], top)
            folder = root / place.lstrip("/")
            parts = [] if inside.startswith("..") else [part for part in inside.split("/") if part != "."]
            for count in range(len(parts) + 1):
                yield folder.joinpath(*parts[:count])


def _version(names: list, controller: str) -> int | None:
    """1 or 2 of a group that may limit what a controller is for, by the names of its controllers; version 2 names none."""
    return 2 if names == [""] else 1 if controller in names else None


def _quota(group: Path) -> float | None:
    """The processors that a group's own quota is worth: time per period, both in microseconds."""
    values = read_lines(group / "cpu.max")[:1]
    fields = (
        values[0].split() if values else [n for name in ("quota", "period") for n in read_lines(group / f"cpu.cfs_{name}_us")]
    )
    try:
        quota, period = map(int, fields)
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def read_lines(file: Path) -> list[str]:
    """The lines of one of the kernel's files; none where there is no such file."""
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
