"""The command line: one file per verb, each parses its arguments and makes one call."""

from ssdzoo.cli.app import main

__all__ = ["main"]
