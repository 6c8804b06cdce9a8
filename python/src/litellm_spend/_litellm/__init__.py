"""How LiteLLM is told to call this package, and what it does not do itself."""
