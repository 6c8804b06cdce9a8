"""Throwaway Postgres servers and databases for the tests and the demo. Needs psycopg alone."""
