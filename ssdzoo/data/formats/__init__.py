"""Annotation formats: a reader for each, the checks that all share, and what a split means."""
