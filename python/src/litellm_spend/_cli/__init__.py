"""The command line: `litellm-spend` and `python -m litellm_spend`."""
