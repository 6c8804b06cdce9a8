"""What is different in a LiteLLM proxy."""
