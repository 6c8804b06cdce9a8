"""The callback with the real LiteLLM SDK: programs of users, and the rows that Postgres then holds."""
