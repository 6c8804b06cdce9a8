"""Another session holds a delivery of LiteLLM's ledger. This stops only the records of a budget window that
begins without that delivery (invariant 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record

# This window of seven days holds the day of all records.
WEEK = {"budget_duration": "7d", "reset_at": "2026-03-05T00:00:00Z"}
HELD, FREE = "held team", "free team"
LOGGED = """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, team_id, spend, "startTime", "endTime")
    VALUES (%s, '', '', %s, 5, '2026-02-27', '2026-02-27')"""
PENDING = """INSERT INTO "LiteLLM_SpendLogDelivery" (delivery_id, request_id, state, accounting_payload, is_batch)
    VALUES (%s, %s, 'pending', '{}', false)"""
HOLD = "SELECT FROM \"LiteLLM_SpendLogDelivery\" WHERE delivery_id = 'held' FOR UPDATE"
SPENT = 'SELECT entity_id, spend FROM "LiteLLM_BudgetWindowSpend" ORDER BY 1'
POSTPONED = "SELECT postponed FROM litellm_spend.status"


@pytest.fixture(params=["litellm_spend", ""], ids=["the worker", "fold()"])
def folded(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with two teams that have a window without a row, each with a request that LiteLLM has not charged."""
    with Cluster({"shared_preload_libraries": request.param}) as cluster:
        database = new_database(cluster)
        for team, delivery in ((HELD, "held"), (FREE, "free")):
            statement = 'INSERT INTO "LiteLLM_TeamTable" (team_id, budget_limits) VALUES (%s, %s)'
            database.execute(statement, team, json.dumps([WEEK]))
            database.execute(LOGGED, f"of {team}", team)
            database.execute(PENDING, delivery, f"of {team}")
        yield database
        database.close()


def records(name: str) -> list[dict]:
    of_team = {HELD: 3, FREE: 20, "without a window": 20}
    return [
        spend_record(request_id=f"{name} {team} {n}", team_id=team)
        for team, count in of_team.items()
        for n in range(count)
    ]


def test_a_delivery_that_is_held_stops_only_the_records_of_its_window(folded: Database) -> None:
    has_worker = bool(folded.cluster.settings["shared_preload_libraries"])
    with folded.connect(autocommit=False) as holder:
        holder.execute(HOLD)
        for number, name in enumerate(("first", "second"), start=1):
            folded.record(records(name))
            if not has_worker:
                folded.fold_all()
            folded.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2 + 40 * number)
            folded.wait_for("SELECT count(*) FROM litellm_spend.postponed", 3 * number)
            assert folded.query(SPENT) == [(FREE, 5.0 * number)]
        if has_worker:
            status = folded.status()
            assert (status["worker"], status["postponed"], status["backlog"]) == ("running", 6, 6)
            assert "LiteLLM_SpendLogDelivery" in status["last_error"]
            assert f"process {holder.info.backend_pid}" in status["last_error"]
        holder.rollback()
    if has_worker:
        folded.wait_folded()
    else:
        folded.fold_all()
    assert folded.query(SPENT) == [(FREE, 10.0), (HELD, 1.5)]
    assert folded.value("SELECT count(*) FROM litellm_spend.postponed") == 0
