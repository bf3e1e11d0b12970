"""Annotation formats; one file for each."""
