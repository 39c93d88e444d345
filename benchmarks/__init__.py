"""Measurements of this package, side by side with what it could be: ``python -m benchmarks``."""
