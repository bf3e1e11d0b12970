"""Parameter files: how they are read and written, whose names they hold, where they lie, and how they get into a network."""

from ssdzoo.formats.params_file import read_params, write_params

__all__ = ["read_params", "write_params"]
