"""The end of the process, signals and forks."""
