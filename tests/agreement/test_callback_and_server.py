"""The callback's allow list, its hash of a key and its form of a URL are the server's: a field that only one side knows
is lost on its way, and a key that each side hashes in its own way is two keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness.database import Database
from harness.postgres import PROJECT

sys.path.insert(0, str(PROJECT / "python" / "src"))

from litellm_spend._record import capture, fields

STAGED = "SELECT payload FROM litellm_spend.staging WHERE xid = pg_current_xact_id()"
REQUIRED = {"id": "request", "startTime": 1773500966.5, "response_cost": 0.5}
HASH = "30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167"


def stored(database: Database, record: dict[str, Any]) -> dict[str, Any]:
    """The record as the server stages it; nothing is committed."""
    with database.connect(autocommit=False) as connection:
        connection.execute("SELECT litellm_record_spend(%s::jsonb)", (json.dumps(REQUIRED | record),))
        [(payload,)] = connection.execute(STAGED).fetchall()
        connection.rollback()
    return payload


def filled(rules: dict[str, Any]) -> dict[str, Any]:
    """A value for each field of the callback's list."""
    values = {fields.LIST: ["1"], fields.ID: "1", fields.IDS: ["1"], fields.ANY: {"own": 1}, None: 1}
    return {name: filled(rule) if isinstance(rule, dict) else values[rule] for name, rule in rules.items()}


def paths(document: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict) and name != "spend_logs_metadata":
            yield from paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_the_server_stores_each_field_that_the_callback_sends(shared_database: Database) -> None:
    metadata = fields.METADATA | fields.REQUEST_METADATA | fields.HIDDEN
    sent = filled(fields.RECORD | fields.REQUEST | {"metadata": metadata}) | REQUIRED | {"api_base": "https://host"}
    assert len(set(paths(sent))) > 100
    assert set(paths(sent)) - set(paths(stored(shared_database, sent))) == set()


@pytest.mark.parametrize(
    "key",
    ["sk-key", "Bearer sk-key", "bEARER  sk-key ", HASH, HASH.upper(), f"hashed-jwt-{HASH}", f"hashed-{HASH}", HASH[1:]]
    + ["litellm_proxy_master_key", "litellm-internal-health-check", "litellm-cli", "litellm-CLI", "sk-ключ"],
)
def test_both_store_a_key_in_the_same_form(shared_database: Database, key: str) -> None:
    assert stored(shared_database, {"api_key": key})["api_key"] == capture.stored_key(key)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://user:pass@api.openai.com/v1",
        "https://api.openai.com/v1?api-key=secret",
        "https://api.openai.com/v1#secret",
        "https://token@host:8080/path/model@2024",
        "http://host/a?b@c",
    ],
)
def test_both_store_a_url_without_its_secrets(shared_database: Database, url: str) -> None:
    assert stored(shared_database, {"api_base": url})["api_base"] == capture._bare_url(url)
