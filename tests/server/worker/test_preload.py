"""A server without the shared_preload_libraries line records and folds by hand, and says what to add."""

from __future__ import annotations

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.records import assert_counted, counted, spend_records

LINE = "shared_preload_libraries"


def test_without_preload_recording_and_fold_work_and_nothing_folds_by_itself(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    records = spend_records(20)
    assert database.record(records) == 20
    assert counted(database) == 0
    assert database.fold() == 20
    assert_counted(database, records)
    assert database.fold() == 0


def test_without_preload_create_extension_says_what_to_add(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster, extension=False)
    said: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(
            lambda note: said.append(f"{note.severity}: {note.message_primary} {note.message_hint}")
        )
        connection.execute("CREATE EXTENSION litellm_spend")
    assert any(LINE in text for text in said), said


def test_without_preload_status_says_what_to_add(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    database.record(spend_records(3))
    status = database.status()
    assert status["preloaded"] is False
    assert status["worker"] == "absent"
    assert status["worker_pid"] is None
    assert status["backlog"] == 3
    assert LINE in status["advice"]


def test_without_preload_flush_is_refused(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    with pytest.raises(psycopg.Error) as error:
        database.flush()
    assert error.value.sqlstate == "55000"


def test_with_preload_a_working_server_needs_no_advice(cluster: Cluster) -> None:
    database = new_database(cluster)
    database.record(spend_records(3))
    database.wait_folded()
    database.wait_for("SELECT folded FROM litellm_spend.status", 3)
    status = database.status()
    assert status["preloaded"] is True
    assert status["worker"] in ("running", "idle")
    assert (status["backlog"], status["rejected"], status["last_error"], status["advice"]) == (0, 0, None, None)
