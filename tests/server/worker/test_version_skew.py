"""Library and SQL objects of different versions record but do not fold, and say what to do (invariant 15)."""

from __future__ import annotations

import psycopg
import pytest

from harness.database import Database
from harness.records import assert_counted, spend_records

VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'litellm_spend'"
SET_VERSION = "UPDATE pg_extension SET extversion = %s WHERE extname = 'litellm_spend'"


@pytest.mark.parametrize(
    ("sql_version", "advice"),
    [
        ("999.0.0", "Restart the server"),
        ("0.0.1", "ALTER EXTENSION litellm_spend UPDATE"),
        ("unpackaged", "Install one version"),
    ],
)
def test_another_version_holds_the_fold_and_takes_records(database: Database, sql_version: str, advice: str) -> None:
    before, during = spend_records(2, "before"), spend_records(3, "during")
    database.record(before)
    database.wait_folded()
    own = database.value(VERSION)
    database.execute(SET_VERSION, sql_version)
    [(state, reason, told)] = database.query("SELECT * FROM litellm_spend.health()")
    assert state == "degraded" and own in reason and sql_version in reason and advice in told

    assert database.record(during) == 3
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    status = database.status()
    assert status["backlog"] == 3 and sql_version in status["last_error"] and advice in status["last_error"]
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as error:
        database.fold()
    assert advice in (error.value.diag.message_hint or "")
    for segment in range(3):
        database.execute(f"UPDATE litellm_spend.staging_{segment} SET staged_at = staged_at - interval '1 day'")
    assert database.value("SELECT state FROM litellm_spend.health()") == "down"
    assert_counted(database, before)

    database.execute(SET_VERSION, own)
    database.wait_folded()
    assert_counted(database, before + during)
    database.wait_for("SELECT state FROM litellm_spend.health()", "ok")
