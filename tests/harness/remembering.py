"""Helpers of the tests of duplicates: rows that the proxy logs, settings of one database, folding step by step."""

from __future__ import annotations

from .database import Database, Record
from .records import DAY

PROXY_ROW = """
    INSERT INTO "LiteLLM_SpendLogs" (request_id, litellm_call_id, call_type, api_key, spend, "startTime", "endTime")
    VALUES (%s, %s, 'acompletion', '', 0.25, %s, %s)"""
SUPPRESS_LOG_ROWS = """
    CREATE FUNCTION public.suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.suppress()"""
WORKERS = "FROM pg_stat_activity WHERE application_name = 'litellm_spend worker' AND datname = current_database()"


def write_proxy_row(database: Database, record: Record, start: str = f"{DAY} 12:00") -> None:
    """Write the row that the LiteLLM proxy logs for this request."""
    database.execute(PROXY_ROW, record["request_id"], record["litellm_call_id"], start, f"{DAY} 12:00:01")


def configure(database: Database, **settings: str) -> None:
    """Set settings of this database for sessions and workers that start from now on, and end its worker."""
    for name, value in settings.items():
        database.execute(f"ALTER DATABASE {database.name} SET litellm_spend.{name} = '{value}'")
    database.query(f"SELECT pg_terminate_backend(pid) {WORKERS}")
    database.wait_for(f"SELECT count(*) {WORKERS}", 0)
    database.close()


def send(database: Database, *records: Record) -> None:
    """Record these in one call and wait until they are folded, so that the next ones are a later batch."""
    database.record(list(records))
    database.wait_folded()
