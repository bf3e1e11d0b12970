"""Weights of other projects under our names; one file for each origin."""
