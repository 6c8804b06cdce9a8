"""verify and rebuild beside LiteLLM's ledger (since 1.110): if the proxy has logged a request and the projector has not
charged it, no daily table has it yet. All of the proxy is LiteLLM's own code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from harness.database import Database
from harness.projector import Ledger, deliveries, proxy_request
from harness.records import DAY, spend_record, spend_records

VERIFY = "SELECT target, column_name, logged::float8, stored::float8 FROM litellm_spend.verify(%s, %s)"
REBUILD = "SELECT target, column_name, logged::float8, stored::float8 FROM litellm_spend.rebuild(%s, %s, %s)"
STORED = """SELECT user_id, model, spend, api_requests::int FROM "LiteLLM_DailyUserSpend" ORDER BY 1, 2"""
DAMAGE = """UPDATE "LiteLLM_DailyUserSpend" SET spend = 0.125, prompt_tokens = 1 WHERE user_id = 'alice'"""
COUNTED = ("alice", "gpt-4o-mini", 0.5, 2)


@pytest.fixture
def counted(database: Database) -> Database:
    """Two requests of one daily row that are counted."""
    database.record(spend_records(2))
    database.wait_folded()
    return database


def of_proxy(**fields: Any) -> dict[str, Any]:
    """A request of 5 dollars that adds to the same daily row as the SDK's requests, unless `fields` differ."""
    return proxy_request(spend=5.0, request_duration_ms=1500, **fields)


def verify(database: Database) -> list[tuple]:
    return database.query(VERIFY, DAY, DAY)


def rebuild(database: Database, *, dry_run: bool = False) -> list[tuple]:
    return database.query(REBUILD, DAY, DAY, dry_run)


@contextmanager
def open_rebuild(database: Database) -> Iterator[list[tuple]]:
    """A transaction that has rebuilt the day and commits in the end."""
    with database.connect(autocommit=False) as connection:
        yield connection.execute(REBUILD, (DAY, DAY, False)).fetchall()
        connection.commit()


def notices(database: Database, statement: str, *arguments: Any) -> list[str]:
    heard: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute(statement, arguments)
    return heard


def test_verify_compares_what_litellm_has_charged(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy(), of_proxy(user="bob"))
    assert verify(counted) == []
    [notice] = notices(counted, VERIFY, DAY, DAY)
    assert notice.startswith("log rows left out") and ": 2 (" in notice and "pending or parked" in notice
    ledger.project()
    assert counted.query(STORED) == [("alice", "gpt-4o-mini", 5.5, 3), ("bob", "gpt-4o-mini", 5.0, 1)]
    assert verify(counted) == []
    assert notices(counted, VERIFY, DAY, DAY) == []


def test_verify_leaves_out_what_is_parked(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy())
    counted.execute("""UPDATE "LiteLLM_SpendLogDelivery" SET state = 'parked'""")
    assert verify(counted) == []


def test_a_running_projector_causes_no_difference(counted: Database, ledger: Ledger) -> None:
    """verify reads each day in one snapshot."""
    over, failures = threading.Event(), []

    def run() -> None:
        try:
            while not over.is_set():
                ledger.log(*[of_proxy(user=user) for user in ("alice", "bob")])
                ledger.project(batch_size=1)
        except BaseException as error:
            failures.append(error)

    running = threading.Thread(target=run)
    running.start()
    try:
        seen: set[int] = set()
        while len(seen) < 15 and running.is_alive():
            assert verify(counted) == []
            seen.add(len(deliveries(counted, ["applied"])))
    finally:
        over.set()
        running.join()
    assert not failures


def test_a_day_is_rebuilt_without_what_litellm_has_not_charged(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy(), of_proxy(user="bob"))
    counted.execute(DAMAGE)
    expected = [
        ("LiteLLM_DailyUserSpend", "prompt_tokens", 20.0, 1.0),
        ("LiteLLM_DailyUserSpend", "spend", 0.5, 0.125),
    ]
    assert rebuild(counted, dry_run=True) == expected
    assert rebuild(counted) == expected
    assert counted.query(STORED) == [COUNTED]
    assert ledger.project()["applied"] == 2
    assert counted.query(STORED) == [("alice", "gpt-4o-mini", 5.5, 3), ("bob", "gpt-4o-mini", 5.0, 1)]
    assert verify(counted) == []


def test_the_projector_skips_the_days_of_a_rebuild_until_it_commits(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy(request_id="of the day"))
    next_day = {"startTime": "2026-03-03T12:00:00Z", "endTime": "2026-03-03T12:00:01Z"}
    ledger.log(of_proxy(request_id="of another day", user="bob", team_id="", request_tags=[], **next_day))
    counted.execute(DAMAGE)
    with open_rebuild(counted) as repaired:
        assert repaired != []
        assert ledger.project()["applied"] == 1
        assert deliveries(counted) == [("of another day", "applied"), ("of the day", "pending")]
    assert ledger.project()["applied"] == 1
    assert ("alice", "gpt-4o-mini", 5.5, 3) in counted.query(STORED)
    assert verify(counted) == []


def test_nobody_releases_a_parked_delivery_of_a_day_that_is_rebuilt(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy())
    counted.execute("""UPDATE "LiteLLM_SpendLogDelivery" SET state = 'parked'""")
    counted.execute(DAMAGE)
    release = """UPDATE "LiteLLM_SpendLogDelivery" SET state = 'pending'"""
    with counted.connect(options="-c lock_timeout=100ms") as operator:
        with open_rebuild(counted), pytest.raises(psycopg.errors.LockNotAvailable):
            operator.execute(release)
        operator.execute(release)


def test_a_dry_run_and_verify_keep_no_projector_waiting(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy())
    counted.execute(DAMAGE)
    with counted.connect(autocommit=False) as connection:
        assert connection.execute(REBUILD, (DAY, DAY, True)).fetchall() != []
        assert connection.execute(VERIFY, (DAY, DAY)).fetchall() != []
        assert ledger.project()["applied"] == 1


def test_a_rebuild_waits_for_the_projector_and_reads_what_it_has_charged(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy())
    counted.execute(DAMAGE)
    refusals: list[psycopg.Error] = []

    def run() -> None:
        with counted.connect() as connection:
            try:
                connection.execute(REBUILD, (DAY, DAY, False))
            except psycopg.Error as error:
                refusals.append(error)

    rebuilding = threading.Thread(target=run)
    with ledger.projecting():
        rebuilding.start()
        counted.wait_for(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '[.]rebuild'", True
        )
    rebuilding.join()
    [refusal] = refusals
    assert f"{DAY} cannot be rebuilt: its log holds 3 requests, of which folds have counted 2" in str(refusal)


def test_a_rebuild_that_waits_too_long_for_the_projector_says_what_to_do(counted: Database, ledger: Ledger) -> None:
    ledger.log(of_proxy(request_id="free", user="bob"), of_proxy(request_id="claimed"))
    counted.execute(DAMAGE)
    before = counted.query(STORED)
    with ledger.projecting("claimed", batch_size=1), pytest.raises(psycopg.errors.LockNotAvailable) as refusal:
        rebuild(counted)
    assert 'another session holds rows of "LiteLLM_SpendLogDelivery"' in str(refusal.value)
    assert (refusal.value.diag.message_hint or "").startswith("Try again in a moment: LiteLLM's projector")
    assert counted.query(STORED) != before, "the projector has gone on"


def test_a_day_with_a_request_of_an_id_that_litellm_charges_is_refused(counted: Database, ledger: Ledger) -> None:
    """The log has the SDK's row of this id. It does not say which of the two requests a pending delivery is for."""
    ledger.log(of_proxy(request_id="r-0"))
    counted.execute(DAMAGE)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refusal:
        rebuild(counted)
    assert "its log holds 1 of 2 requests, and 1 more that LiteLLM has not charged yet" in str(refusal.value)
    assert (refusal.value.diag.message_hint or "").startswith("Wait until LiteLLM's projector")


@pytest.fixture
def owned(counted: Database) -> Iterator[Database]:
    """LiteLLM's tables belong to a role that is no superuser, and the deliveries to another role."""
    counted.execute(
        "CREATE ROLE of_log; CREATE ROLE of_deliveries; GRANT USAGE ON SCHEMA public TO of_log, of_deliveries"
    )
    counted.execute(
        """DO $$ DECLARE t name; BEGIN
               FOR t IN SELECT tablename FROM pg_tables WHERE tablename ^@ 'LiteLLM_' LOOP
                   EXECUTE format('ALTER TABLE %I OWNER TO of_log', t);
               END LOOP;
           END $$;
           ALTER TABLE "LiteLLM_SpendLogDelivery" OWNER TO of_deliveries"""
    )
    yield counted
    counted.execute("DROP OWNED BY of_log, of_deliveries CASCADE; DROP ROLE of_log, of_deliveries")


def test_each_table_is_read_and_locked_as_its_owner(owned: Database, ledger: Ledger) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refusal:
        verify(owned)
    assert 'may not read public."LiteLLM_SpendLogDelivery"' in str(refusal.value)
    assert (refusal.value.diag.message_hint or "").startswith("GRANT SELECT on it to the owner of the log")
    owned.execute('GRANT SELECT ON "LiteLLM_SpendLogDelivery" TO of_log')
    with pytest.raises(
        psycopg.errors.InsufficientPrivilege, match="does not have the rights of the owner of"
    ) as refusal:
        verify(owned)
    assert (refusal.value.diag.message_hint or "").startswith("Give both tables one owner")
    owned.execute("GRANT of_log TO of_deliveries")
    ledger.log(of_proxy())
    owned.execute(DAMAGE)
    with open_rebuild(owned) as repaired:
        assert len(repaired) == 2
        assert ledger.project()["applied"] == 0


def test_a_policy_on_the_deliveries_hides_none_of_them(owned: Database, ledger: Ledger) -> None:
    owned.execute(
        """GRANT SELECT ON "LiteLLM_SpendLogDelivery" TO of_log; GRANT of_log TO of_deliveries;
           ALTER TABLE "LiteLLM_SpendLogDelivery" ENABLE ROW LEVEL SECURITY"""
    )
    ledger.log(of_proxy())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        verify(owned)


def test_a_fold_after_a_rebuild_beside_the_projector_adds_up(counted: Database, ledger: Ledger) -> None:
    counted.execute(DAMAGE)
    with open_rebuild(counted):
        ledger.log(of_proxy(request_id="after the rebuild has read"))
        counted.record(spend_record(request_id="meanwhile"))
    ledger.project()
    counted.wait_folded()
    assert counted.query(STORED) == [("alice", "gpt-4o-mini", 5.75, 4)]
    assert verify(counted) == []
