"""Quantization to int8."""
