"""How much processor time this process may take: the CPU quotas of Linux control groups, of version 1 and 2.

Containers are limited this way (`docker run --cpus`, a limit in Kubernetes). They still see all processors of their machine.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def cpu_quota(root: str | Path = "/") -> float | None:
    """The processors that the tightest quota is worth, such as 1.5; None without a quota.

    A group may have one of its own, and each group above it too.

    Args:
        root: where /proc and the paths that it names are looked for.
    """
    root = Path(root)
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the groups for the CPU that this process is in."""
    memberships = [line.split(":", 2) for line in _lines(root / "proc/self/cgroup")]
    paths = {version: path for _, names, path in memberships if (version := _version(names.split(","))) is not None}
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        (top, place), (kind, _, options) = mount.split(" ")[3:5], system.split(" ", 2)
        version = 2 if kind == "cgroup2" else _version(options.split(",")) if kind == "cgroup" else None
        if version in paths:
            # In a container, the path is as the machine sees it, and the folder begins at the container's own group.
            inside = os.path.relpath(paths[version], top)
            folder = root / place.lstrip("/")
            parts = [] if inside.startswith("..") else [part for part in inside.split("/") if part != "."]
            for count in range(len(parts) + 1):
                yield folder.joinpath(*parts[:count])


def _version(names: list) -> int | None:
    """1 or 2 of a group that may limit the CPU, by the names of its controllers; version 2 names none."""
    return 2 if names == [""] else 1 if "cpu" in names else None


def _quota(group: Path) -> float | None:
    """The processors that a group's own quota is worth: time per period, both in microseconds."""
    values = _lines(group / "cpu.max")[:1]
    fields = values[0].split() if values else [*_lines(group / "cpu.cfs_quota_us"), *_lines(group / "cpu.cfs_period_us")]
    try:
        quota, period = map(int, fields)
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
