"""Weights: parameter files, where published ones are found, other frameworks' files, and how they get into a network."""

from ssdzoo.formats.params_file import read_params, write_params

__all__ = ["read_params", "write_params"]
