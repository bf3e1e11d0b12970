"""Names of arguments in the library's messages become the options of the running verb."""

import logging
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from ssdzoo.cli import main
from ssdzoo.cli.messages import Verb, as_flags, show_log
from ssdzoo.cli.progress import WorkProgress
from ssdzoo.errors import CallError


def run(text, *arguments, act=None):
    """What `as_flags`, or `act`, makes of a text within a verb."""
    answers, app = [], typer.Typer()

    @app.command(cls=Verb)
    def verb(
        data: str,
        out: str = "", batch_size: int = 8, lr: float = 0.1, resume: Annotated[bool, typer.Option("--resume")] = False,
        as_json: Annotated[bool, typer.Option("--json")] = False,
    ) -> None:  # fmt: skip
        answers.append((act or as_flags)(text))

    result = CliRunner().invoke(app, [*(arguments or ("data",))])
    return answers[0] if answers else None, result


@pytest.mark.parametrize("text, shown", [
    ("lower lr= or set batch_size=", "lower --lr or set --batch-size"),
    ("lr=, batch_size=; out=: (lr=)", "--lr, --batch-size; --out: (--lr)"),
    ("batch_size=0: expected 1 or more", "--batch-size 0: expected 1 or more"),
    ("choose another out=, or continue with resume=True", "choose another --out, or continue with --resume"),
    ("json= and as_json=True", "--json and --json"),
    ("clip_norm=3, data=x and mylr=2 or my-lr=2", "clip_norm=3, data=x and mylr=2 or my-lr=2"),
    ("runs/lr=0.1: damaged", "runs/lr=0.1: damaged"),
    ("a == b, [red]lr=[/red]", "a == b, [red]--lr [/red]"),
    ("nothing to name", "nothing to name"),
])  # fmt: skip
def test_names_become_options(text, shown):
    assert run(text)[0] == shown


def test_what_the_user_typed_stays():
    text = "lr=0.1/data: damaged; lr=0.1 and lr=2"
    assert run(text, "lr=0.1/data")[0] == "lr=0.1/data: damaged; --lr 0.1 and --lr 2"
    assert run(text, "data", "--out", "lr=0.1")[0] == "lr=0.1/data: damaged; lr=0.1 and --lr 2"


def test_outside_of_a_verb_nothing_changes():
    assert as_flags("lower lr=") == "lower lr="


def test_errors_progress_and_log_name_options(capsys):
    def refuse(text):
        raise CallError(text)

    result = run("lr=0: expected more", act=refuse)[1]
    assert isinstance(result.exception, CallError) and str(result.exception) == "--lr 0: expected more"

    def report(text):
        with WorkProgress() as progress:
            progress.say(text)
        show_log()
        show_log()  # once is enough
        logging.getLogger("ssdzoo").info("fetching [b] for lr=")

    assert run("[red]set lr=", act=report)[1].stderr.splitlines() == ["[red]set --lr", "ssdzoo: fetching [b] for --lr"]


@pytest.mark.parametrize("error, shown", [(MemoryError(), "memory ran out"), (OSError(24, "Too many"), "Too many")])
def test_errors_of_the_system_are_one_line(error, shown, monkeypatch, capsys):
    def fail(**_):
        raise error

    monkeypatch.setattr("ssdzoo.cli.app.app", fail)
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 1 and capsys.readouterr().err == f"ssdzoo: {shown}\n"


def test_closed_streams_become_empty_ones():
    """As of a process that a daemon started: the next file that is opened would be its standard error."""
    code = "import os, sys; from ssdzoo.cli.app import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
    code += "for i in (0, 2): assert os.readlink(f'/proc/self/fd/{i}') == os.devnull and os.get_inheritable(i)\n"
    code += "print('unseen', file=sys.stderr); print('seen')"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- 2>&-', sys.executable, code], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout.splitlines()[1:] == ["seen"]


def test_the_library_logs_nothing_that_is_seen_by_itself(capsys):
    logger = logging.getLogger("ssdzoo")
    handlers, level = logger.handlers[:], logger.level
    try:
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.info("fetching")
        assert capsys.readouterr() == ("", "")
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
