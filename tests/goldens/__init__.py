"""LiteLLM's own writer is the oracle. README.md says what is compared, and verdicts.py has the verdict of each case."""
