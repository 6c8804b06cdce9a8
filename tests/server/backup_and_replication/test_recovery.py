"""Recovery to a point in time counts each record that was acknowledged before that point once, and no later record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database, Record
from harness.postgres import server_user
from harness.records import assert_counted, spend_records

KINDS = ("recovery_target_name", "recovery_target_lsn", "recovery_target_time")
# Postgres runs this command in the data directory.
ARCHIVING = {"archive_mode": "on", "archive_command": "cp %p ../archive/%f"}


@dataclass(frozen=True)
class Past:
    """A point in the life of a server that is gone, and base backups from before that point."""

    database: str
    archive: Path
    backups: dict[str, Cluster]
    targets: dict[str, str]
    records: list[Record]


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    """Of its 12 records 7 waited for a fold. Afterwards 3 more were acknowledged, and all were folded."""
    with ExitStack() as stack, Cluster(ARCHIVING) as cluster:
        archive = cluster.directory / "archive"
        archive.mkdir()
        server_user().own(archive)
        database = own_schema_database(cluster)
        folded, pending = spend_records(5, "folded"), spend_records(7, "pending")
        database.record(folded)
        database.wait_folded()
        backups = {kind: Cluster(standby_of=cluster) for kind in KINDS}
        for backup in backups.values():
            stack.callback(backup.remove)
        with database.held_fold():
            database.record(pending)
            lsn = database.value("SELECT pg_create_restore_point('here')::text")
            targets = dict(zip(KINDS, ("here", lsn, database.value("SELECT clock_timestamp()::text")), strict=True))
            database.record(spend_records(3, "after"))
        database.wait_folded()
        segment = database.value("SELECT pg_walfile_name(pg_switch_wal())")
        database.wait_for(f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver", True)
        cluster.stop("immediate")
        yield Past(database.name, archive, backups, targets, [*folded, *pending])


@pytest.mark.parametrize("kind", KINDS)
def test_a_recovered_server_counts_what_was_acknowledged_before_the_target_once(past: Past, kind: str) -> None:
    backup = past.backups[kind]
    backup.recover_to(past.archive, **{kind: past.targets[kind]})
    with backup:
        Database(backup, "postgres").wait_for("SELECT pg_is_in_recovery()", False)
        recovered = Database(backup, past.database)
        # Nobody records, asks for a fold or adopts anything.
        recovered.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 12)
        assert_counted(recovered, past.records)
        assert recovered.status()["foreign_rows"] == 0
        new = spend_records(2, "new")
        recovered.record(new)
        recovered.wait_folded()
        assert_counted(recovered, [*past.records, *new])
