"""A whole `ssdzoo train` command from the arguments of a training."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FIRST = ("model", "data")


def train_command(arguments: Mapping[str, Any]) -> str:
    """The command of these arguments, which a shell takes as it stands.

    Args:
        arguments: of `ssdzoo.fine_tune` by name, `model`, `data` and `out` among them; None is left out.
    """
    words = ["ssdzoo", "train", str(arguments["model"]), str(arguments["data"])]
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if name in _FIRST or value is None:
            continue
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def run_folder(data: str | Path) -> str:
    """A name for the run of a data set: runs/ and the name of its folder or file."""
    path = Path(str(data).split(",")[0])
    return f"runs/{(path.stem if path.is_file() else path.name) or 'mine'}"
