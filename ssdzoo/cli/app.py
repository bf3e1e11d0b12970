"""The `ssdzoo` command: its verbs, and what happens to their errors."""

import os
import signal
import sys
import threading
from importlib import import_module
from io import TextIOWrapper

import typer

from ssdzoo.cli.messages import Stopped, Verb, show_log
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.machine import open_standard_streams
from ssdzoo.quote import message
from ssdzoo.version import __version__

# In the order of the help; each is the one function of the module of that name.
VERBS = (
    "models", "quickstart", "check_data", "anchors", "train", "launch", "evaluate", "export", "predict", "serve", "convert",
    "compare", "quantize", "benchmark", "doctor",
)  # fmt: skip

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="SSD object detectors on MXNet: build them by name, fine-tune them on your data, export them.",
)
for verb in VERBS:
    function = getattr(import_module(f"ssdzoo.cli.{verb}"), verb)
    # A server in a container is told by its environment: SSDZOO_MEAN is --mean.
    settings = {"auto_envvar_prefix": "SSDZOO"} if verb == "serve" else None
    app.command({"evaluate": "eval"}.get(verb, verb.replace("_", "-")), cls=Verb, context_settings=settings)(function)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ssdzoo {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    debug: bool = typer.Option(False, help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    show_log()
    if debug:
        os.environ["SSDZOO_DEBUG"] = "1"


def main(arguments: list | None = None) -> None:
    """Runs the command line; exits with 0 when done, 1 when the work failed, 2 when the call was wrong."""
    for stream in (sys.stdout, sys.stderr):  # whatever the name of a file, a folder or a class contains can be printed
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    open_standard_streams()
    usual, sys.unraisablehook = sys.unraisablehook, _repeat_interrupt
    received: list[int] = []
    usual_handlers = _catch_signals(received)
    try:
        app(args=arguments, prog_name="ssdzoo")
    except SSDZooError as error:
        _fail(error, 2 if isinstance(error, CallError) else 1)
    except (Stopped, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code != 130:  # typer's status of a Ctrl-C before the verb begins
            raise
        if "DMLC_ROLE" not in os.environ:  # a process of `ssdzoo launch`, which says it
            note = str(error) if isinstance(error, Stopped) else ""
            print(f"ssdzoo: stopped; {note}" if note else "ssdzoo: stopped", file=sys.stderr)
        sys.exit(128 + (received or [signal.SIGINT])[0])
    except (OSError, MemoryError) as error:
        _fail(error, 1)
    finally:
        sys.unraisablehook = usual
        for number, handler in usual_handlers.items():
            signal.signal(number, handler)


def _catch_signals(received: list[int]) -> dict:
    """Has what ends a process by default (timeout, docker stop, a closed terminal) end it as Ctrl-C does, so that its own
    processes end with it and leave nothing behind. Returns the handlers to put back; `received` gets the signals that came."""

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    # A process of `ssdzoo launch` may wait for another one inside of mxnet, where it hears nothing.
    if threading.current_thread() is not threading.main_thread() or "DMLC_ROLE" in os.environ:
        return {}
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return {n: signal.signal(n, interrupt) for n in numbers if signal.getsignal(n) is signal.SIG_DFL}


def _repeat_interrupt(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python ignores a Ctrl-C that arrives while an object is being deleted, which a training does all the time."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # Late enough for this function to have ended also on a busy machine: within it, the next one would be ignored too.
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)


def _fail(error: BaseException, status: int) -> None:
    if os.environ.get("SSDZOO_DEBUG"):
        raise error
    print(f"ssdzoo: {message(_text(error))}", file=sys.stderr)
    sys.exit(status)


def _text(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"memory ran out: {error}" if str(error) else "memory ran out"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder was deleted: change to another one"
    return error.strerror
