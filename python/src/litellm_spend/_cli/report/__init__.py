"""`litellm-spend report`: spend, requests and tokens from LiteLLM's daily tables, in the terminal or as a page."""
