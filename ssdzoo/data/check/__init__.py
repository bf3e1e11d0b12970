"""Finds what is wrong with a data set before a training learns it: `check_dataset`."""
