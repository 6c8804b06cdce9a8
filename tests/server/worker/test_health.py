"""litellm_spend.health(): one verdict for a monitoring check, with the reason and the fix."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from conftest import discard, new_database, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record, spend_records
from harness.waiting import wait_for_value, wait_until

# health() reports lags and pins early where folds are frequent and segments are truncated at once.
IMPATIENT = {
    "litellm_spend.fold_interval": "1 ms",
    "litellm_spend.lock_timeout": "100 ms",
    "litellm_spend.truncate_delay": "0",
}
DROP_LOG_KEY = 'ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"'
ADD_LOG_KEY = 'ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id)'


@pytest.fixture(scope="module")
def impatient() -> Iterator[Cluster]:
    with Cluster(IMPATIENT) as cluster:
        yield cluster


@pytest.fixture
def watched(impatient: Cluster) -> Iterator[Database]:
    database = own_schema_database(impatient)
    yield database
    discard(database)


def health(database: Database) -> tuple[str, str, str | None]:
    [row] = database.query("SELECT state, reason, advice FROM litellm_spend.health()")
    return row


def wait_for_state(database: Database, state: str) -> tuple[str, str, str | None]:
    wait_for_value(lambda: health(database)[0], state, what="health()")
    return health(database)


def age_backlog(database: Database, by: str = "1 day") -> None:
    """Make the staged rows older than any bound."""
    for segment in range(3):
        database.execute(f"UPDATE litellm_spend.staging_{segment} SET staged_at = staged_at - %s::interval", by)


def test_a_database_at_work_is_well(watched: Database) -> None:
    watched.record(spend_records(3))
    watched.wait_folded()
    _, reason, advice = wait_for_state(watched, "ok")
    assert reason and advice is None


def test_a_held_fold_is_degraded_and_down_once_its_backlog_is_old(watched: Database) -> None:
    watched.execute(DROP_LOG_KEY)
    watched.record(spend_records(3))
    _, reason, advice = wait_for_state(watched, "degraded")
    assert "is held" in reason and "LiteLLM_SpendLogs" in reason and advice
    age_backlog(watched)
    state, reason, advice = health(watched)
    assert state == "down" and "1 day" in reason and "LiteLLM_SpendLogs" in reason and advice
    watched.execute(ADD_LOG_KEY)
    watched.wait_folded()
    wait_for_state(watched, "ok")


def test_records_that_are_postponed_for_long_are_degraded_and_their_holder_is_named(watched: Database) -> None:
    watched.record(spend_record(user="held"))
    watched.wait_folded()
    with watched.connect(autocommit=False) as holder:
        holder.execute("UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = 'held'")
        watched.record([spend_record(user="held"), spend_record()])
        watched.wait_for("SELECT postponed FROM litellm_spend.status", 1)
        watched.execute("UPDATE litellm_spend.postponed SET staged_at = staged_at - interval '1 day'")
        state, reason, advice = health(watched)
        assert state == "degraded" and "1 records are postponed" in reason and "1 day" in reason
        assert f"process {holder.info.backend_pid}" in reason and "pg_terminate_backend" in advice
    watched.wait_folded()
    wait_for_state(watched, "ok")


def test_a_worker_that_ends_while_held_leaves_no_error_behind(database: Database) -> None:
    database.execute(DROP_LOG_KEY)
    database.record(spend_records(3))
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    # The next worker can do nothing before the log is fixed, so it never fails itself.
    with database.connect(autocommit=False) as session:
        session.execute(ADD_LOG_KEY)
        session.execute("SELECT pg_terminate_backend(worker_pid, 10000) FROM litellm_spend.status")
        session.commit()
    database.wait_folded()
    wait_for_state(database, "ok")


def test_a_lag_without_an_error_is_degraded(watched: Database, impatient: Cluster) -> None:
    # The worker stops in the middle of a fold, which is no error.
    reached = "failpoint before_commit reached"
    before = impatient.log().count(reached)
    try:
        with watched.server_setting("litellm_spend.failpoint", "before_commit:pause"):
            watched.record(spend_records(3))
            wait_until(lambda: impatient.log().count(reached) > before, what="the worker to stop")
            age_backlog(watched)
            state, reason, advice = health(watched)
            assert state == "degraded" and "1 day" in reason and "more is recorded" in (advice or "")
    finally:
        watched.query("SELECT pg_terminate_backend(worker_pid) FROM litellm_spend.status")
    watched.wait_folded()
    wait_for_state(watched, "ok")


@pytest.mark.parametrize("kind", ["prepared transaction", "open transaction"])
def test_a_transaction_that_keeps_a_segment_is_named(watched: Database, kind: str) -> None:
    with watched.connect(autocommit=False) as session:
        session.execute("SELECT litellm_record_spend(%s)", (Jsonb(spend_record()),))
        pid = session.info.backend_pid
        if kind == "prepared transaction":
            session.execute("PREPARE TRANSACTION 'forgotten'")
        _, reason, advice = wait_for_state(watched, "degraded")
        status = watched.status()
        named = "'forgotten'" if kind == "prepared transaction" else str(pid)
        assert kind in reason and named in reason and advice
        assert kind in status["pinned_by"] and named in status["pinned_by"]
        assert watched.value("SELECT pinned_since < now() FROM litellm_spend.status")
        if kind == "prepared transaction":
            watched.execute("ROLLBACK PREPARED 'forgotten'")
    wait_for_state(watched, "ok")
    assert watched.status()["pinned_by"] is None and watched.status()["pinned_since"] is None


def test_rows_of_another_cluster_are_told(watched: Database) -> None:
    with watched.held_fold():
        watched.record(spend_records(2))
        watched.execute("UPDATE litellm_spend.staging_0 SET origin = 1 WHERE seq = 0")
        watched.execute("UPDATE litellm_spend.staging_1 SET origin = 1 WHERE seq = 0")
        watched.execute("UPDATE litellm_spend.staging_2 SET origin = 1 WHERE seq = 0")
    watched.wait_folded()
    _, reason, advice = wait_for_state(watched, "degraded")
    assert "another cluster" in reason and "litellm_spend.adopt()" in advice
    assert watched.value("SELECT litellm_spend.adopt()") == 1
    watched.wait_folded()
    wait_for_state(watched, "ok")


def test_without_preload_an_old_backlog_is_down_and_the_advice_names_the_line(unloaded_cluster: Cluster) -> None:
    database = own_schema_database(unloaded_cluster)
    database.record(spend_records(3))
    state, reason, _ = health(database)
    assert state == "ok" and "is counted when fold() or fold_all() is called" in reason
    age_backlog(database)
    state, reason, advice = health(database)
    assert state == "down" and "not preloaded" in reason and "shared_preload_libraries" in (advice or "")
    database.fold()
    assert health(database)[0] == "ok"


def test_who_monitors_may_ask_and_nobody_else(impatient: Cluster, watched: Database) -> None:
    impatient.execute("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
    impatient.execute("CREATE ROLE stranger LOGIN")
    try:
        with watched.connect(user="monitor") as connection:
            assert connection.execute("SELECT state FROM litellm_spend.health()").fetchone() == ("ok",)
        with watched.connect(user="stranger") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT state FROM litellm_spend.health()")
        functions = watched.query(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'litellm_spend'::regnamespace"
            " AND has_function_privilege('stranger', oid, 'EXECUTE')"
        )
        assert functions == []
    finally:
        impatient.execute("DROP ROLE monitor")
        impatient.execute("DROP ROLE stranger")


def test_totals_and_rejected_records_survive_an_immediate_stop(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    records = spend_records(5)
    database.record([*records, records[0], {**records[1], "litellm_call_id": "another"}])
    database.record([spend_record(), "no record"], "reject")
    database.wait_folded()
    shown = "SELECT folded, duplicates, reused_ids, rejected FROM litellm_spend.status"
    assert database.query(shown) == [(7, 1, 1, 1)]
    own_cluster.restart("immediate")
    assert database.query(shown) == [(7, 1, 1, 1)]
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 1
