"""Measures the extension against its alternatives, on one server in one run: `make bench`."""
