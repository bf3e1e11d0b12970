"""The errors that ssdzoo raises on purpose. Each message names the file, the value and the remedy."""

from typing import Any

from ssdzoo.quote import message


class SSDZooError(Exception):
    """The work failed; the command line prints the message without a traceback and exits with 1.

    Whatever a file or a path holds, the message can be printed: control characters are escaped, and very long lines are cut.
    """

    def __init__(self, *args: Any):
        super().__init__(*(message(value) if isinstance(value, str) else value for value in args))


class CallError(SSDZooError, ValueError):
    """The call was wrong (an unknown name, an impossible argument); the command line exits with 2."""


class DataError(SSDZooError, ValueError):
    """An image, an annotation or a data set cannot be used as it is."""


class WeightsError(SSDZooError, ValueError):
    """A parameter file cannot be read, or does not belong to this model."""


class ExportError(SSDZooError, ValueError):
    """A network cannot be translated as it is, or a translated one cannot be read."""
