"""The version, for setup.cfg and for the files that say who wrote them."""

__version__ = "0.1.0"
