"""LiteLLM_BudgetWindowSpend beside LiteLLM's ledger (since 1.110): if the proxy has logged a request and the projector
has not charged it, the projector adds it later. All of the proxy is LiteLLM's own code."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import datetime
from random import Random
from typing import Any

import pytest

from harness.database import Database
from harness.projector import Ledger, deliveries, proxy_request
from harness.records import spend_record
from harness.waiting import wait_until

# This window of seven days holds the day of all records: 2026-02-26 to 2026-03-05.
WEEK = {"budget_duration": "7d", "reset_at": "2026-03-05T00:00:00Z"}
WEEK_START = datetime(2026, 2, 26)
LOG = """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, team_id, spend, "startTime", "endTime")
    VALUES (%s, '', %s, %s, 5, '2026-02-27', '2026-02-27')"""
DELIVERY = """INSERT INTO "LiteLLM_SpendLogDelivery" (delivery_id, request_id, state, accounting_payload, is_batch)
    VALUES (gen_random_uuid(), %s, %s::text::"AccountingDeliveryState", '{}', false)"""
WAITS = "a.datname = current_database() AND a.wait_event_type = 'Lock' AND a.query = 'litellm_spend fold'"
FOLD_WAITS = f"SELECT count(*) > 0 FROM pg_stat_activity AS a WHERE {WAITS}"
LOCKED_MEANWHILE = f"""SELECT DISTINCT c.relname::text, l.mode
    FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid) JOIN pg_class AS c ON c.oid = l.relation
    WHERE {WAITS} AND c.relname ^@ 'LiteLLM_' AND c.relkind = 'r'"""
OPEN_WINDOW = """INSERT INTO "LiteLLM_BudgetWindowSpend"
        (entity_type, entity_id, window_duration, window_start, spend, updated_at)
    VALUES ('key', %s, '7d', %s, 100, now())"""


def make_key(database: Database, name: str) -> str:
    """A key with the window."""
    key = hashlib.sha256(name.encode()).hexdigest()
    statement = 'INSERT INTO "LiteLLM_VerificationToken" (token, budget_limits) VALUES (%s, %s)'
    database.execute(statement, key, json.dumps([WEEK]))
    return key


def be_patient(database: Database) -> None:
    """Let a fold wait for a row for seconds, to look at it meanwhile: half of this setting, or `lock_timeout`."""
    database.execute(f"ALTER DATABASE \"{database.name}\" SET deadlock_timeout = '60 s'")
    database.wait_for("SELECT worker_pid IS NULL FROM litellm_spend.status", True)


def window_of(database: Database, key: str) -> list[tuple]:
    return database.query('SELECT window_start, spend FROM "LiteLLM_BudgetWindowSpend" WHERE entity_id = %s', key)


@pytest.mark.parametrize(
    ("states", "total"),
    [
        (["pending"], 0.25),
        (["parked"], 0.25),
        (["applied"], 5.25),
        # Requests with one id: LiteLLM leaves out the row until all of them are charged.
        (["applied", "pending"], 0.25),
        ([], 5.25),
    ],
    ids=["pending", "parked", "applied", "applied and pending", "of another writer"],
)
def test_a_new_row_begins_without_what_litellm_has_not_charged_yet(
    shared_database: Database, states: list[str], total: float
) -> None:
    name = f"delivered {states}"
    key = make_key(shared_database, name)
    shared_database.execute(
        'INSERT INTO "LiteLLM_TeamTable" (team_id, budget_limits) VALUES (%s, %s)', name, json.dumps([WEEK])
    )
    shared_database.execute(LOG, name, key, name)
    for state in states:
        shared_database.execute(DELIVERY, name, state)
    shared_database.record(spend_record(api_key=key, team_id=name))
    shared_database.wait_folded()
    assert window_of(shared_database, key) == [(WEEK_START, total)]
    assert window_of(shared_database, name) == [(WEEK_START, total)], "of the team"


def of_proxy(key: str, *, names_window: bool = True) -> dict[str, Any]:
    """A request of 5 dollars. LiteLLM's projector adds it to the key's window if the proxy knew of the window."""
    window = {"entity_type": "key", "entity_id": key, "window_duration": "7d", "window_start": WEEK_START.isoformat()}
    windows = [window] if names_window else []
    return proxy_request(api_key=key, spend=5.0, windows=windows, model="of the proxy", user="proxy", request_tags=[])


def test_litellms_projector_adds_to_the_row_what_its_beginning_left_out(database: Database, ledger: Ledger) -> None:
    key = make_key(database, "projected")
    ledger.log(of_proxy(key), of_proxy(key))
    ledger.project(batch_size=1)
    database.execute('DELETE FROM "LiteLLM_BudgetWindowSpend"')
    database.record(spend_record(api_key=key))
    database.wait_folded()
    assert window_of(database, key) == [(WEEK_START, 5.25)]
    assert ledger.project()["applied"] == 1
    assert window_of(database, key) == [(WEEK_START, 10.25)]


@pytest.mark.parametrize("names_window", [True, False])
def test_a_new_row_waits_for_the_projector_that_charges_its_requests(
    database: Database, ledger: Ledger, names_window: bool
) -> None:
    be_patient(database)
    key = make_key(database, "charging")
    ledger.log(of_proxy(key, names_window=names_window))
    with ledger.projecting() as claimed:
        assert claimed == 1
        database.record(spend_record(api_key=key, end_user="e"))
        database.wait_for(f"SELECT ({FOLD_WAITS}) AND EXISTS ({LOCKED_MEANWHILE} AND l.mode = 'RowShareLock')", True)
        # The projector could need none of these.
        assert set(database.query(LOCKED_MEANWHILE)) == {
            ("LiteLLM_SpendLogDelivery", "AccessShareLock"),
            ("LiteLLM_SpendLogDelivery", "RowShareLock"),
        }
    database.wait_folded()
    assert window_of(database, key) == [(WEEK_START, 5.25)]


def test_the_projector_skips_what_a_new_row_leaves_out(database: Database, ledger: Ledger) -> None:
    be_patient(database)
    key = make_key(database, "skipped")
    ledger.log(of_proxy(key), proxy_request(request_id="of no window", user="bob", model="other"))
    with database.connect(autocommit=False) as other:
        other.execute(OPEN_WINDOW, (key, WEEK_START))
        database.record(spend_record(api_key=key, team_id="", request_tags=[]))
        database.wait_for(FOLD_WAITS, True)
        assert ledger.project()["applied"] == 1
        assert ("of no window", "applied") in deliveries(database)
    database.wait_folded()
    assert ledger.project()["applied"] == 1
    assert window_of(database, key) == [(WEEK_START, 105.25)]


def test_a_fold_that_waits_for_the_projector_leaves_it_no_more_of_its_requests(
    database: Database, ledger: Ledger
) -> None:
    """Otherwise the fold would wait for one transaction of the projector after another."""
    be_patient(database)
    key = make_key(database, "claimed")
    ledger.log({**of_proxy(key), "delivery_id": "a"}, {**of_proxy(key), "delivery_id": "b"})
    with ledger.projecting(batch_size=1):
        database.record(spend_record(api_key=key))
        database.wait_for(FOLD_WAITS, True)
        next_batch = """SELECT delivery_id FROM "LiteLLM_SpendLogDelivery" WHERE state = 'pending'
            FOR UPDATE SKIP LOCKED"""
        assert database.query(next_batch) == []
    database.wait_folded()
    assert window_of(database, key) == [(WEEK_START, 5.25)]


def test_a_fold_that_failed_adds_the_log_up_anew(database: Database, ledger: Ledger) -> None:
    """The failed fold held the deliveries no longer than its transaction lasted."""
    database.execute(
        """CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'not now'; END $$;
           CREATE TRIGGER refuse BEFORE INSERT ON "LiteLLM_BudgetWindowSpend"
               FOR EACH ROW EXECUTE FUNCTION public.refuse()"""
    )
    key = make_key(database, "anew")
    ledger.log(of_proxy(key, names_window=False))
    database.record(spend_record(api_key=key))
    database.wait_for("SELECT last_error ~ 'not now' FROM litellm_spend.status", True)
    wait_until(lambda: ledger.project()["applied"] == 1, what="the projector to charge the request")
    database.execute('DROP TRIGGER refuse ON "LiteLLM_BudgetWindowSpend"')
    database.wait_folded()
    assert window_of(database, key) == [(WEEK_START, 5.25)]


def test_new_rows_are_exact_beside_a_projector_that_charges_the_same_keys(database: Database, ledger: Ledger) -> None:
    keys = [make_key(database, f"beside {number}") for number in range(60)]
    expected = dict.fromkeys(keys, 0.0)
    random, over, failures = Random(11), threading.Event(), []

    def charge() -> None:
        try:
            for _ in range(0, len(keys), 3):
                ledger.log(of_proxy(random.choice(keys)))
                ledger.project(batch_size=3)
        except BaseException as error:
            failures.append(error)
        over.set()

    ledger.log(*[of_proxy(key) for key in keys])
    charging = threading.Thread(target=charge)
    charging.start()
    while not over.is_set():
        chosen = Random().sample(keys, 2)
        database.record([spend_record(api_key=key, user=f"of {key}") for key in chosen])
        for key in chosen:
            expected[key] += 0.25
    charging.join()
    assert not failures
    database.wait_folded()
    # The projector retries what gave way to a fold a second or two later.
    wait_until(lambda: not ledger.project()["failed"] and not deliveries(database, ["pending"]), what="all charges")
    for key, charged in database.query(
        'SELECT api_key, sum(spend) FROM "LiteLLM_SpendLogs" WHERE "user" = %s GROUP BY 1', "proxy"
    ):
        expected[key] += charged
    found = dict(database.query("""SELECT entity_id, spend FROM "LiteLLM_BudgetWindowSpend" """))
    assert found == expected
