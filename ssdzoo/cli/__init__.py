"""The command line: one file per verb, each parses its arguments and makes one call."""

import sys


def main(arguments: list | None = None) -> None:
    """Runs the command line; see `ssdzoo.cli.app`. Its imports take a second, in which Ctrl-C ends it without a traceback too."""
    try:
        from ssdzoo.cli import app
    except KeyboardInterrupt:
        print("ssdzoo: stopped", file=sys.stderr)
        sys.exit(130)
    app.main(arguments)
