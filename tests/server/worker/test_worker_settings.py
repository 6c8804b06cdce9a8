"""The worker folds exactly, under the settings that it pins, whatever the server, the worker's role or its database has
set, even beside two sessions that fold (invariant 1)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database, Record
from harness.records import DAY, assert_counted, spend_record
from harness.remembering import WORKERS

# Every fold runs under these settings, whoever runs it.
PINNED = {
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
    "transaction_deferrable": "off",
    "search_path": "pg_catalog, pg_temp",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "row_security": "off",
    "session_replication_role": "origin",
    "default_tablespace": "",
    "synchronous_commit": "on",
    "statement_timeout": "0",
    "lock_timeout": "500ms",
    "deadlock_timeout": "1ms",
    "log_lock_waits": "off",
    "exit_on_error": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}
# Only the worker pins these.
LOGS_TREES = ("debug_print_parse", "debug_print_rewritten", "debug_print_plan")
PINNED_BY_THE_WORKER = {
    "role": "none",
    "idle_in_transaction_session_timeout": "0",
    **dict.fromkeys(LOGS_TREES, "off"),
}
SINCE_17 = "transaction_timeout"
SINCE_A_MINOR = "restrict_nonsystem_relation_kind"

WATCH = """
CREATE ROLE worker_settings_poor;
CREATE ACCESS METHOD other_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE public.folded (pid int, name text, value text);
CREATE TABLE public.watched (name text);
CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.folded
    SELECT pg_backend_pid(), name, current_setting(name, true) FROM public.watched;
    IF NEW.model = 'poison' THEN RAISE 'poison'; END IF;
    RETURN NULL;
END $$;
-- Does not fire in a session of a replica.
CREATE TRIGGER watch AFTER INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.watch();
CREATE SCHEMA planted;
GRANT USAGE ON SCHEMA planted TO PUBLIC;
CREATE FUNCTION planted.nothing(float8, float8) RETURNS float8 LANGUAGE sql AS 'SELECT 0::float8';
CREATE OPERATOR planted.+ (LEFTARG = float8, RIGHTARG = float8, FUNCTION = planted.nothing);
"""


class Settings:
    """A database with sessions that began before anything was set, so that the settings reach only the worker."""

    def __init__(self, cluster: Cluster) -> None:
        self.database = new_database(cluster)
        self.database.execute(WATCH)
        known = self.database.query(
            "SELECT name FROM unnest(%s::text[]) name WHERE current_setting(name, true) IS NOT NULL",
            [*PINNED, *PINNED_BY_THE_WORKER, SINCE_17, SINCE_A_MINOR],
        )
        self.names = {name for (name,) in known}
        self.database.execute("INSERT INTO public.watched SELECT unnest(%s::text[])", list(self.names))
        self.folders = [self.database.connect() for _ in range(2)]
        self.admin = cluster.connect()
        for session in (*self.folders, self.admin, self.database):
            # A setting of the whole server reaches an existing session.
            session.execute("SET default_transaction_isolation = 'read committed'")
            session.execute("SET default_transaction_read_only = off; SET default_transaction_deferrable = off")
        self.records: list[Record] = []

    def reset(self) -> None:
        self.admin.execute("ALTER SYSTEM RESET ALL")
        self.admin.execute("SELECT pg_reload_conf()")
        self.admin.execute("ALTER ROLE postgres RESET ALL")
        self.admin.execute(f'ALTER DATABASE "{self.database.name}" RESET ALL')

    def make(self, scopes: list[str], settings: dict[str, str]) -> None:
        for scope in scopes:
            for name, value in settings.items():
                self.admin.execute(f"ALTER {scope} SET {name} = {value}")
        self.admin.execute("SELECT pg_reload_conf()")

    def start_anew(self) -> None:
        """End the worker. The next one knows no other settings."""
        self.database.query(f"SELECT pg_terminate_backend(pid) {WORKERS}")
        self.database.wait_for(f"SELECT count(*) {WORKERS}", 0)
        self.database.execute("TRUNCATE public.folded")

    def record(self, count: int) -> None:
        new = [spend_record(spend=0.1) for _ in range(count)]
        self.database.record(new)
        self.records += new

    def folded_under(self, pid: int) -> dict[str, str | None]:
        rows = self.database.query("SELECT DISTINCT name, value FROM public.folded WHERE pid = %s", pid)
        assert len(rows) == len(dict(rows)), rows
        return dict(rows)


@pytest.fixture(scope="module")
def settings_of_a_cluster() -> Iterator[Settings]:
    """A server for these tests alone, because settings of the role postgres and of the server reach everybody on it."""
    with Cluster() as cluster:
        settings = Settings(cluster)
        yield settings
        discard(settings.database)


@pytest.fixture
def settings(settings_of_a_cluster: Settings) -> Iterator[Settings]:
    yield settings_of_a_cluster
    settings_of_a_cluster.reset()


SERVER = ["SYSTEM"]
ROLE_AND_DATABASE = ["ROLE postgres", 'DATABASE "{database}"']
# {what is set: (where, settings)}
HOSTILE = {
    "serializable": (SERVER, {"default_transaction_isolation": "serializable"}),
    "repeatable read": (SERVER, {"default_transaction_isolation": "'repeatable read'"}),
    "read only": (SERVER, {"default_transaction_read_only": "on"}),
    "deferrable": (
        SERVER,
        {
            "default_transaction_isolation": "serializable",
            "default_transaction_read_only": "on",
            "default_transaction_deferrable": "on",
        },
    ),
    "timeouts": (
        ROLE_AND_DATABASE,
        {
            "statement_timeout": "'1ms'",
            "lock_timeout": "'1ms'",
            "idle_in_transaction_session_timeout": "'1ms'",
            "transaction_timeout": "'1ms'",
        },
    ),
    "what names and texts mean": (
        ROLE_AND_DATABASE,
        {
            "search_path": "planted, pg_catalog",
            "TimeZone": "'Pacific/Kiritimati'",
            "DateStyle": "'German, DMY'",
            "IntervalStyle": "iso_8601",
            "quote_all_identifiers": "on",
            "extra_float_digits": "-15",
            "bytea_output": "escape",
            "array_nulls": "off",
            "transform_null_equals": "on",
        },
    ),
    "what a write does": (
        ROLE_AND_DATABASE,
        {
            "session_replication_role": "replica",
            "synchronous_commit": "off",
            "row_security": "on",
            "default_table_access_method": "other_heap",
            "default_tablespace": "pg_global",
            "default_toast_compression": "pglz",
        },
    ),
    "who may do what": (
        ROLE_AND_DATABASE,
        {"role": "worker_settings_poor", SINCE_A_MINOR: "'view, foreign-table'"},
    ),
    "what it logs": (ROLE_AND_DATABASE, dict.fromkeys(LOGS_TREES, "on")),
    "as whom": (ROLE_AND_DATABASE, {"session_authorization": "worker_settings_poor"}),
    "how it is planned": (
        ROLE_AND_DATABASE,
        {
            "enable_seqscan": "on",
            "enable_indexscan": "off",
            "enable_sort": "on",
            "enable_bitmapscan": "on",
            "jit": "on",
            "jit_above_cost": "0",
            "plan_cache_mode": "force_generic_plan",
            "work_mem": "'64kB'",
        },
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_worker_folds_exactly_whatever_is_set(settings: Settings, name: str) -> None:
    scopes, hostile = HOSTILE[name]
    database = settings.database
    known = {setting: value for setting, value in hostile.items() if is_known(database, setting)}
    settings.make([scope.format(database=database.name) for scope in scopes], known)
    settings.start_anew()

    settings.record(5)
    database.wait_folded()
    worker = database.status()["worker_pid"]
    pinned = {**PINNED, **PINNED_BY_THE_WORKER, SINCE_17: "0", SINCE_A_MINOR: ""}
    assert settings.folded_under(worker) == {setting: pinned[setting] for setting in settings.names}
    assert database.query("SELECT DISTINCT pid FROM public.folded") == [(worker,)]

    with ThreadPoolExecutor(len(settings.folders)) as pool:
        folds = [pool.submit(fold_ten_times, session) for session in settings.folders]
        for _ in range(20):
            settings.record(2)
        for fold in folds:
            fold.result()
    database.wait_folded()
    assert_counted(database, settings.records)
    starts = database.query('SELECT DISTINCT "startTime"::text FROM "LiteLLM_SpendLogs"')
    assert starts == [(f"{DAY} 12:00:00",)]


def is_known(database: Database, setting: str) -> bool:
    return database.value("SELECT current_setting(%s, true)", setting) is not None


def fold_ten_times(session: psycopg.Connection) -> None:
    for _ in range(10):
        session.execute("SELECT litellm_spend.fold()")


def test_one_bad_record_costs_no_process_where_errors_end_sessions(settings: Settings) -> None:
    """With exit_on_error each caught error would end the worker, again and again, and nothing would be folded."""
    database = settings.database
    settings.make([f'DATABASE "{database.name}"'], {"exit_on_error": "on"})
    settings.start_anew()
    rejected = database.status()["rejected"]
    database.record(spend_record(model="poison"))
    settings.record(3)
    database.wait_folded()
    assert database.status()["rejected"] == rejected + 1
    assert_counted(database, settings.records)
    with database.connect() as session:
        database.record(spend_record(model="poison"))
        settings.record(3)
        session.execute("SELECT litellm_spend.fold()")
        assert session.execute("SHOW exit_on_error").fetchone() == ("on",)
    assert_counted(database, settings.records)
