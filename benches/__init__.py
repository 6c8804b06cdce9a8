"""Measures the extension against what else one could do, on one server in one run: `make bench`."""
