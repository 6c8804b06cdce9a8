"""A dump holds what the extension remembers, and a restored database goes on with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.cluster import Cluster
from harness.database import Database
from harness.postgres import bindir
from harness.records import assert_counted, spend_record, spend_records


def restored(database: Database, name: str, tmp_path: Path) -> Database:
    """A copy of the database through pg_dump and psql, on the same server."""
    dump = tmp_path / "dump.sql"
    subprocess.run([bindir() / "pg_dump", "-f", dump, database.url], check=True)
    database.cluster.create_database(name)
    database.cluster.psql("-f", str(dump), database=name)
    return Database(database.cluster, name)


def test_a_restored_database_keeps_rejected_records_and_takes_new_ones(
    cluster: Cluster, database: Database, tmp_path: Path
) -> None:
    records = spend_records(3)
    database.record([*records, "no record"], "reject")
    database.wait_folded()
    copy = restored(database, f"{database.name}_copy", tmp_path)
    try:
        assert_counted(copy, records)
        later = spend_record(request_id="later")
        assert copy.record([later, 7], "reject") == 1
        copy.wait_folded()
        assert_counted(copy, [*records, later])
        ids = [row[0] for row in copy.query("SELECT id FROM litellm_spend.rejected ORDER BY id")]
        assert len(ids) == 2 and ids[0] < ids[1]
    finally:
        copy.close()
        cluster.drop_database(copy.name)
