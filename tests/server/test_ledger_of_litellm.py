"""LiteLLM's ledger (since 1.110): a log row whose delivery is pending or parked is not charged yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import Interpreters
from harness.database import Database
from harness.projector import VERSION, Ledger, deliveries, ledger, proxy_request


@pytest.fixture(name="ledger")
def ledger_fixture(interpreters: Interpreters, database: Database) -> Iterator[Ledger]:
    with ledger(interpreters(VERSION), database) as found:
        yield found


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
