"""A proxy that records through the callback alone, as docs/cutover.md sets it up."""

from __future__ import annotations

import pytest

from conftest import Interpreters
from harness.database import Database

from .server import Proxy
from .sites import Site


def test_a_proxys_requests_are_recorded(proxy_database: Database, one_writer: Proxy) -> None:
    one_writer.post("/user/new", user_id="alice", auto_create_key=False)
    key = one_writer.post("/key/generate", user_id="alice")["key"]
    costs = [float(one_writer.chat(key, model).headers["x-litellm-response-cost"]) for model in ("cheap", "dear") * 5]
    proxy_database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 10)
    for table in ("LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend"):
        assert proxy_database.value(f'SELECT sum(spend) FROM "{table}"') == pytest.approx(sum(costs))
    assert proxy_database.value("""SELECT spend FROM "LiteLLM_UserTable" WHERE user_id = 'alice'""") == pytest.approx(
        sum(costs)
    )


def test_sdk_clients_beside_it_are_counted_too(
    proxy_database: Database, one_writer: Proxy, interpreters: Interpreters, version: str
) -> None:
    site = Site(proxy_database, one_writer, interpreters(version), team="beside")
    site.call_sdk(3)
    site.chat(3)
    site.call_sdk(3)
    site.wait_told_of_team()
