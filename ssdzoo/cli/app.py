"""The `ssdzoo` command: its verbs, and what happens to their errors."""

import os
import sys

import typer

from ssdzoo.cli import (
    anchors,
    benchmark,
    check_data,
    compare,
    convert,
    doctor,
    evaluate,
    export,
    launch,
    models,
    predict,
    quantize,
    quickstart,
    train,
)
from ssdzoo.cli.messages import Verb, show_log
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="SSD object detectors on MXNet: build them by name, fine-tune them on your data, export them.",
)
for verb in (
    models.models, quickstart.quickstart, check_data.check_data, anchors.anchors, train.train, launch.launch, evaluate.evaluate,
    export.export, predict.predict, convert.convert, compare.compare, quantize.quantize, benchmark.benchmark, doctor.doctor,
):  # fmt: skip
    app.command({"evaluate": "eval"}.get(verb.__name__, verb.__name__.replace("_", "-")), cls=Verb)(verb)


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
    try:
        app(args=arguments, prog_name="ssdzoo")
    except SSDZooError as error:
        _fail(error, 2 if isinstance(error, CallError) else 1)
    except SystemExit as error:
        if error.code == 130:  # typer's answer to Ctrl-C, which says nothing
            print("ssdzoo: stopped", file=sys.stderr)
        raise
    except OSError as error:
        _fail(error, 1)


def _fail(error: BaseException, status: int) -> None:
    if os.environ.get("SSDZOO_DEBUG"):
        raise error
    print(f"ssdzoo: {error}", file=sys.stderr)
    sys.exit(status)
