"""LiteLLM's ledger of deliveries (since 1.110): LiteLLM's own code as the tests run it, and a table that differs from
LiteLLM's. The tests of windows, verify and rebuild show what the deliveries mean for them."""

from __future__ import annotations

import pytest

from harness.database import Database
from harness.projector import Ledger, deliveries, proxy_request
from harness.records import assert_counted, spend_records

TABLE = "LiteLLM_SpendLogDelivery"
LISTED = f"SELECT found, action, reason FROM litellm_spend.targets WHERE target = '{TABLE}'"


def test_litellms_projector_charges_what_it_logged(database: Database, ledger: Ledger) -> None:
    database.execute("INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('alice')")
    ledger.log(proxy_request(request_id="p", end_user="e"))
    assert deliveries(database) == [("p", "pending")]
    assert database.query('SELECT * FROM "LiteLLM_DailyUserSpend"') == []
    with ledger.projecting() as claimed:
        assert claimed == 1
    assert deliveries(database) == [("p", "applied")]
    assert database.query("""SELECT spend FROM "LiteLLM_UserTable" """) == [(0.25,)]
    assert database.query('SELECT user_id, spend, api_requests FROM "LiteLLM_DailyUserSpend"') == [("alice", 0.25, 1)]
    assert database.query('SELECT spend FROM "LiteLLM_DailyModelUsage"') == [(0.25,)]
    assert database.query('SELECT spend FROM "LiteLLM_EndUserTable"') == [(0.25,)]


def test_deliveries_as_litellm_makes_them_are_no_target(database: Database) -> None:
    assert database.query(LISTED) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (f'ALTER TABLE "{TABLE}" RENAME state TO status', "has no column state"),
        (f'ALTER TABLE "{TABLE}" ALTER request_id TYPE integer USING 0', "has a column request_id of another type"),
        (f'ALTER TABLE "{TABLE}" ALTER state DROP DEFAULT, ALTER state TYPE integer USING 0', "state of another type"),
        ("ALTER TYPE \"AccountingDeliveryState\" RENAME VALUE 'parked' TO 'failed'", "state of another type"),
        (
            f'ALTER TABLE "{TABLE}" DROP CONSTRAINT "{TABLE}_pkey", ALTER delivery_id DROP NOT NULL',
            "lets its column delivery_id be NULL",
        ),
        (f'ALTER TABLE "{TABLE}" RENAME TO kept; CREATE VIEW "{TABLE}" AS SELECT * FROM kept', "is not a table"),
    ],
    ids=["missing column", "type of the request", "type of the state", "missing state", "no id", "view"],
)
def test_deliveries_that_cannot_be_understood_hold_the_fold(database: Database, change: str, reason: str) -> None:
    database.execute(change)
    records = spend_records(2)
    database.record(records)
    database.wait_for(f"SELECT last_error LIKE '%{reason}%' FROM litellm_spend.status", True)
    [(found, action, why)] = database.query(LISTED)
    assert (found, action) == (True, "held")
    assert reason in why and "rename the table if it is not LiteLLM's" in why
    database.execute(f'DROP TABLE IF EXISTS "{TABLE}"' if "VIEW" not in change else f'DROP VIEW "{TABLE}"')
    database.wait_folded()
    assert_counted(database, records)
