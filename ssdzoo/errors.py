"""The errors that ssdzoo raises on purpose. Each message names the file, the value and the remedy."""


class SSDZooError(Exception):
    """The work failed; the command line prints the message without a traceback and exits with 1."""


class CallError(SSDZooError, ValueError):
    """The call was wrong (an unknown name, an impossible argument); the command line exits with 2."""


class DataError(SSDZooError, ValueError):
    """An image, an annotation or a data set cannot be used as it is."""


class WeightsError(SSDZooError, ValueError):
    """A parameter file cannot be read, or does not belong to this model."""


class ExportError(SSDZooError, ValueError):
    """A network cannot be translated as it is, or a translated one cannot be read."""
