"""A server on which nothing happens unless the extension causes it, and what shows that nothing does."""

QUIET = {
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # What is staged is truncated at once.
    "litellm_spend.truncate_delay": "0",
}
"""Settings with which nothing of the server's own writes WAL or takes transaction ids."""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'"
TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{}'"
"""Transactions of any session in the database. A worker may come and go unseen, but its transactions are counted."""
