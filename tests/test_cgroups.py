"""CPU quotas and limits of memory, as the kernel shows them in different kinds of containers."""

import os

import pytest

from ssdzoo import machine
from ssdzoo.cgroups import cpu_quota, memory_limit

V2 = "34 25 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup rw"
V1 = "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct"


def write(root, groups, mounts, **files):
    """A root folder with what /proc says, and with files by their paths below /sys/fs/cgroup, written with _ for /."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups + "\n")
    (root / "proc" / "self" / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts + "\n")
    for name, text in files.items():
        *folders, file = name.split("__")
        path = root.joinpath("sys/fs/cgroup", *folders, file.replace("_dot_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_the_tightest_quota_on_the_way_up(tmp_path):
    root = write(
        tmp_path, "0::/pod/app", V2,
        cpu_dot_max="max 100000", pod__cpu_dot_max="150000 100000", pod__app__cpu_dot_max="400000 100000", x__cpu_dot_max="1 9",
    )  # fmt: skip
    assert cpu_quota(root) == 1.5


def test_a_container_sees_its_own_group_as_the_top(tmp_path):
    root = write(tmp_path, "0::/", V2, cpu_dot_max="50000 100000")
    assert cpu_quota(root) == 0.5


def test_version_1_in_a_container_that_names_the_group_as_its_machine_does(tmp_path):
    files = {"cpu,cpuacct__cpu_dot_cfs_quota_us": "300000", "cpu,cpuacct__cpu_dot_cfs_period_us": "100000"}
    root = write(tmp_path, "4:memory:/x\n3:cpu,cpuacct:/docker/ab", V1.format(top="/docker/ab"), **files)
    assert cpu_quota(root) == 3


def test_version_1_below_the_top(tmp_path):
    files = {
        "cpu,cpuacct__cpu_dot_cfs_quota_us": "-1", "cpu,cpuacct__cpu_dot_cfs_period_us": "100000",
        "cpu,cpuacct__a__cpu_dot_cfs_quota_us": "20000", "cpu,cpuacct__a__cpu_dot_cfs_period_us": "10000",
    }  # fmt: skip
    root = write(
        tmp_path, "3:cpu,cpuacct:/a\n0::/", f"{V1.format(top='/')}\n{V2.replace('cgroup rw', 'cgroup/unified rw')}", **files
    )
    assert cpu_quota(root) == 2


@pytest.mark.parametrize("text", ["max 100000", "", "a b", "0 100000", "100000"])
def test_no_quota(text, tmp_path):
    assert cpu_quota(write(tmp_path, "0::/", V2, cpu_dot_max=text)) is None


def test_no_groups(tmp_path):
    assert cpu_quota(tmp_path) is None and memory_limit(tmp_path) is None


def test_the_tightest_limit_of_memory_on_the_way_up(tmp_path):
    """Such as that of a service of systemd, which is not at the top."""
    root = write(
        tmp_path, "0::/system/app", V2, memory_dot_max="max", system__memory_dot_max="3000000000",
        system__app__memory_dot_max="4000000000", other__memory_dot_max="1",
    )  # fmt: skip
    assert memory_limit(root) == 3_000_000_000 and cpu_quota(root) is None


def test_memory_of_version_1(tmp_path):
    mount = V1.replace("cpu,cpuacct", "memory").format(top="/docker/ab")
    files = {"memory__memory_dot_limit_in_bytes": "2000000", "memory__docker__memory_dot_limit_in_bytes": "1"}
    root = write(tmp_path, "4:memory:/docker/ab\n3:cpu,cpuacct:/x", mount, **files)
    assert memory_limit(root) == 2_000_000


@pytest.mark.parametrize(("limit", "expected"), [(1000, 1000), (None, "all"), (1 << 62, "all")])
def test_memory(limit, expected, monkeypatch):
    monkeypatch.setattr(machine, "memory_limit", lambda: limit)
    of_machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.memory() == (of_machine if expected == "all" else expected)


@pytest.mark.parametrize(
    "quota, wanted, expected", [(None, "", 4), (1.5, "", 1), (0.2, "", 1), (3.9, "", 3), (None, "2", 2), (3, "8", 3), (2, "x", 2)]
)
def test_cores(quota, wanted, expected, monkeypatch):
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert machine.cores() == expected
