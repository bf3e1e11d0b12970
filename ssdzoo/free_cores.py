"""How many cores other programs leave free, which changes while a program runs.

Threads that wait for each other at the end of each layer are as slow as the slowest of them. Beside other work that is the one
that has to share its core, so that fewer threads are faster.
"""

import math
import multiprocessing
import os
import time
from pathlib import Path

from ssdzoo.cgroups import read_lines
from ssdzoo.machine import cores

_INTERVAL = 0.5  # seconds between two looks: /proc/stat counts in hundredths of a second


class FreeCores:
    """Counts the cores that are free for this process and its loader workers.

    Args:
        proc: where the kernel shows the processor times.
    """

    def __init__(self, proc: str | Path = "/proc"):
        self._proc, self._most = Path(proc), cores()
        self._allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
        self._count = self._most
        self._looked, self._others = time.monotonic(), self._time_of_others()

    def count(self) -> int:
        """At least 1 and at most `ssdzoo.machine.cores()`: those that were free on average since the last look, half a second or
        more ago. Where the kernel does not say what others use, all of them."""
        now = time.monotonic()
        if now - self._looked >= _INTERVAL:
            others = self._time_of_others()
            taken = (others - self._others) / (now - self._looked)
            free = len(self._allowed) - max(0.0, taken)
            self._count = min(self._most, max(1, math.floor(free + 0.5)))
            self._looked, self._others = now, others
        return self._count

    def _time_of_others(self) -> float:
        """Seconds that other programs have used of the cores that this process may run on."""
        children = [Path(self._proc, str(child.pid)) for child in multiprocessing.active_children()]
        return self._time_of_all() - time.process_time() - sum(map(_time_of_process, children))

    def _time_of_all(self) -> float:
        ticks = 0
        for line in read_lines(self._proc / "stat"):
            name, *fields = line.split()
            if name[:3] == "cpu" and name[3:].isdecimal() and int(name[3:]) in self._allowed:
                user, nice, system, _idle, _iowait, *others = map(int, fields[:8])  # of interrupts, and stolen by other machines
                ticks += user + nice + system + sum(others)
        return ticks / os.sysconf("SC_CLK_TCK")


def _time_of_process(folder: Path) -> float:
    """Seconds that a process has used so far; 0 for one that has ended."""
    fields = " ".join(read_lines(folder / "stat")).rpartition(")")[2].split()  # from the third one on; the name may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else 0.0
