"""The `ssdzoo` command as a user calls it, in this process, where mxnet is imported already: a new one takes seconds."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from unittest import mock

from ssdzoo.cli import main

# What a user's shell has, and what Python shows there: every warning but these.
ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "140"}
UNSEEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def ssdzoo(*arguments, status: int | None = 0) -> tuple[str, str]:
    """Runs `ssdzoo ARGUMENTS`.

    Args:
        status: the exit status that is expected; None for any.

    Returns:
        what it printed on standard output and on standard error, warnings included.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    found = 0
    with (
        mock.patch.dict(os.environ, ENVIRONMENT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        _show_warnings()
        try:
            main([str(a) for a in arguments])
        except SystemExit as stopped:
            found = stopped.code or 0
    return _checked(found, *(stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err)), status)


def ssdzoo_process(*arguments, status: int = 0) -> tuple[str, str]:
    """The same in a process of its own, for what a process adds: imports, its standard streams, its exit status."""
    command = [sys.executable, "-c", "from ssdzoo.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **ENVIRONMENT})
    return _checked(done.returncode, done.stdout, done.stderr, status)


def _show_warnings() -> None:
    warnings.simplefilter("default")
    for category in UNSEEN:
        warnings.simplefilter("ignore", category)
    warnings.showwarning = lambda message, category, filename, line, file=None, text=None: sys.stderr.write(
        warnings.formatwarning(message, category, filename, line, text)
    )


def _checked(found: int, out: str, err: str, status: int | None) -> tuple[str, str]:
    assert status is None or found == status, err
    assert "Traceback" not in err
    return out, err
