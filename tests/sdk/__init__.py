"""The callback with the real LiteLLM SDK: programs of users, and what Postgres then holds."""
