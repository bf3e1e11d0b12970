"""`ssdzoo launch`: a training with several processes."""

from pathlib import Path
from typing import Annotated, Optional

from ssdzoo.cli.options import argument, option
from ssdzoo.errors import CallError
from ssdzoo.files import read_whole

_HOSTS = (
    "A file with one machine per line, which ssh reaches without a password, and which has this folder and this Python. Without "
    "it, all processes run here."
)
_WORKERS, _TWO = "Processes that train; with several nodes, the number on each.", "2, or 1 on each of several nodes"


def launch(
    command: Annotated[list[str], argument("-- train MODEL DATA --out RUN ...", metavar="-- COMMAND")],
    workers: Annotated[Optional[int], option(_WORKERS, "-n", "--workers", min=1, show_default=_TWO)] = None,
    servers: Annotated[int, option("Processes that add up gradients, over all nodes.", "-s", "--servers", min=1)] = 1,
    hosts: Annotated[Optional[Path], option(_HOSTS)] = None,
    wait: Annotated[float, option("Seconds to wait for all nodes to join.", min=1)] = 300,
) -> None:
    """Train with several processes: each reads its part of the data, and the first one keeps the run folder.

    `--batch-size` is that of one process. A process that dies ends the training with a message. To train on several nodes, call
    it on each: with srun, in an Indexed Job of Kubernetes, or with DMLC_PS_ROOT_URI, DMLC_PS_ROOT_PORT, DMLC_NUM_WORKER and
    DMLC_TASK_ID set.
    """
    if command[0] != "train":
        raise CallError(f"ssdzoo launch -- {command[0]} ...: only train can be launched")
    if "--kvstore" not in command:
        command = [*command, "--kvstore", "dist_sync"]
    from ssdzoo.train.distributed import launch as start

    try:
        start(command, workers, servers, _read_hosts(hosts) if hosts else None, wait)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command with --resume at its end continues the training") from None


def _read_hosts(path: Path) -> list:
    try:
        text = read_whole(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CallError(f"--hosts {path}: cannot be read as a list of machines: {reason}") from None
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    if not names:
        raise CallError(f"{path}: no hosts in it; expected one per line")
    wrong = [name for name in names if name.startswith("-") or len(name.split()) > 1]
    if wrong:
        raise CallError(f"{path}: {wrong[0]!r} is no host; expected a name such as user@machine on each line")
    return names
