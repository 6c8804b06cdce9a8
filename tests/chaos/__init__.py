"""Processes die at random moments and at named points while writers record: every acknowledged record counts once."""
