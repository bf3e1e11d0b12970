"""Messages of the library on the command line: an argument's name becomes the option of the running verb."""

import logging
import re
import sys
from contextvars import ContextVar

from typer.core import TyperCommand

from ssdzoo.errors import SSDZooError

# The context of the verb that runs, or None.
_context = ContextVar("context", default=None)


class Stopped(BaseException):
    """A verb was interrupted; the text says how to go on, or is empty. Of a KeyboardInterrupt, typer would lose it."""


class Verb(TyperCommand):
    """A verb whose errors name its options."""

    def invoke(self, ctx):
        token = _context.set(ctx)
        try:
            return super().invoke(ctx)
        except SSDZooError as error:
            error.args = (as_flags(str(error)),)
            raise
        except KeyboardInterrupt as error:
            raise Stopped(as_flags(str(error))) from None
        finally:
            _context.reset(token)


def as_flags(text: str) -> str:
    """The text with `batch_size=4` as `--batch-size 4`, and `batch_size=` as `--batch-size`, where the verb has that option.

    What the user typed, such as a folder `lr=0.1`, stays as it is.
    """
    context = _context.get()
    if context is None:
        return text
    options = {}
    for option in context.command.params:
        flag = max(option.opts, key=len)
        if flag.startswith("--"):
            options[option.name] = options[flag[2:].replace("-", "_")] = flag
    for name in [name.removesuffix("_a") for name in options if name.endswith("_a")]:  # of one of two models
        options.setdefault(name, f"{options[f'{name}_a']} or {options[f'{name}_b']}")
    typed = sorted((str(value) for value in context.params.values() if "=" in str(value)), key=len, reverse=True)
    kept = "".join(f"{re.escape(value)}|" for value in typed)

    def replaced(match) -> str:
        flag = options.get(match["name"])
        if flag is None:
            return match[0]
        return flag if match["value"] is None else f"{flag} "

    name = r"(?<![\w./=-])(?P<name>[a-z]\w*)=(?:True\b)?(?P<value>(?=[^\s,.;:)]))?"
    return re.sub(kept + name, replaced, text)


class LogLines(logging.Handler):
    """Prints what the library logs on standard error."""

    def emit(self, record) -> None:
        print(f"ssdzoo: {as_flags(self.format(record))}", file=sys.stderr)


def show_log() -> None:
    """Shows the lines of the logger `ssdzoo`, from INFO on."""
    logger = logging.getLogger("ssdzoo")
    if not any(isinstance(handler, LogLines) for handler in logger.handlers):
        logger.addHandler(LogLines())
        logger.setLevel(logging.INFO)
