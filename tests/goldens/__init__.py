"""LiteLLM's own writer as the oracle: README.md tells what is compared, verdicts.py the verdict of each case."""
