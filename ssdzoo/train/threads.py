"""How many threads a training uses."""

from dataclasses import replace

from ssdzoo.machine import cores
from ssdzoo.progress import Silent, counted
from ssdzoo.runtime import free_threads
from ssdzoo.train.settings import Settings


def with_threads(settings: Settings, progress: Silent) -> Settings:
    """With the number of threads that fits the machine as it is now, where none is set. The run keeps it, so that going on
    with it repeats what it would have computed."""
    threads = settings.threads or free_threads()
    if threads and not settings.threads and threads < cores():
        progress.say(f"{counted(threads, 'thread')} on {cores()} cores, because other programs use the rest (threads=)")
    return replace(settings, threads=threads)
