"""Worker processes, where the system lets a program have them."""

import logging
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

_log = logging.getLogger(__name__)


def worker_pool(workers: int, start: Callable, arguments: tuple = ()) -> ProcessPoolExecutor | None:
    """Starts processes that work for this one; None, with a warning, where there cannot be any.

    They need semaphores, which are files in /dev/shm: some containers have no such folder, or one that cannot be written.

    Args:
        workers: how many.
        start: called in each of them first, with `arguments`.
    """
    # Fork would copy the locks of mxnet's and OpenMP's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(workers, context, start, arguments)
    except OSError as error:
        _log.warning("no worker processes (%s; they need /dev/shm), so that this process works alone", error.strerror)
        return None
