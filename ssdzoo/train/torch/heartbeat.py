"""Signs of life between the processes of a training: one that ended or vanished ends the others, whatever they are doing."""

import logging
import os
import re
import socket
import sys
import threading
from contextvars import copy_context
from datetime import timedelta

import torch
from torch import distributed

from ssdzoo.errors import SSDZooError

BEAT = 2.0  # seconds between two meetings
SILENCE = 60.0  # seconds without an answer after which a process is lost
_CLOSING = 1.0  # seconds in which all connections of a process that ended are seen to close
_PROBE = 2**31 - 1  # a tag that no meeting uses
_GRACE = 5.0  # seconds in which the main thread may notice a loss and end this process itself


def lost(who: str, error: str = "") -> SSDZooError:
    """The error of a training of which a process is gone; with the first line of torch's."""
    why = f" ({error.strip().splitlines()[0][:200]})" if error else ""
    return SSDZooError(
        f"{who} ended or stopped answering, so this training cannot go on; the same command with resume=True continues it{why}"
    )


class Heartbeat:
    """A thread that meets those of all other processes every `BEAT` seconds, in a group of its own on the CPU. Its connections
    break when a process ends, and time out when its machine or its network is lost.

    The main thread may take hours for an evaluation, and those of the others wait for it. Collective operations on GPUs don't
    notice that a machine is gone. So this thread ends the process where the main thread does not do so.
    """

    def __init__(self) -> None:
        self._limit = timedelta(seconds=SILENCE)
        self._group = distributed.new_group(backend="gloo", timeout=self._limit)
        self._names: list = [None] * distributed.get_world_size()
        distributed.all_gather_object(self._names, socket.gethostname(), group=self._group)
        self._leaving, self._over, self._noticed = threading.Event(), threading.Event(), threading.Event()
        self._error: SSDZooError | None = None
        # Messages name the options of the running verb, which they know from the context.
        threading.Thread(target=copy_context().run, args=(self._watch,), daemon=True).start()

    def check(self) -> None:
        """Raises:
        SSDZooError: another process is gone.
        """
        if self._error:
            self._noticed.set()
            raise self._error

    def loss(self, text: str) -> SSDZooError:
        """Who is gone, after an operation of the main thread failed with that text."""
        self._noticed.set()
        self._over.wait(_CLOSING)
        return self._error or self._described(text)

    def leave(self) -> None:
        """Ends it, when all processes do so: from now on, one that is gone has done its work."""
        self._leaving.set()

    def _watch(self) -> None:
        try:
            while not self._leaving.wait(BEAT):
                distributed.monitored_barrier(self._group, self._limit, wait_all_ranks=True)
        except RuntimeError as error:
            if self._leaving.is_set():
                return
            self._error = self._described(str(error))
        self._over.set()
        if self._error and not self._noticed.wait(_GRACE):
            logging.getLogger("ssdzoo").error("%s", self._error)
            sys.stdout.flush()
            os._exit(1)  # the main thread waits for those that are gone

    def _described(self, text: str) -> SSDZooError:
        """The loss that an error of torch tells of."""
        found = re.search(r"Ranks? ([\d, ]+) failed", text)  # what the first process finds out in a meeting
        if found:
            ranks = list(map(int, found[1].split(",")))
        elif "monitoredBarrier" in text and "imed out" in text:  # the others wait for the first one, and then leave all
            ranks = [0]
        else:
            ranks = [rank for rank in range(len(self._names)) if not self._connected(rank)]
        if not ranks:
            return lost("another process", text)
        return lost(" and ".join(f"process {rank} ({self._names[rank]})" for rank in ranks))

    def _connected(self, rank: int) -> bool:
        """Whether the connection with a process is open."""
        if rank == distributed.get_rank():
            return True
        try:
            distributed.irecv(torch.zeros(1), rank, self._group, _PROBE)
            return True
        except RuntimeError:
            return False
