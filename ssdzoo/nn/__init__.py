"""Hybridizable Gluon blocks of SSD; no data sets and no files here. `ssd.py` puts the others together."""
