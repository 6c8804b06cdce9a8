"""pg_upgrade keeps everything that the extension holds: pending records count once, and counted requests stay known
(invariant 12). The old server is of the major before the one under test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from harness.cluster import Cluster
from harness.database import Database, Record
from harness.litellm_schema import NEWEST, apply_migrations
from harness.postgres import older_major
from harness.records import DAY, assert_counted, counted, spend_record, spend_records
from harness.remembering import configure

pytestmark = pytest.mark.stress

# initdb creates both clusters, because the new one must see the rows of the old one as another cluster's. Postgres 18
# makes checksums unless told otherwise, and older versions do not. pg_upgrade wants both alike.
INITDB = ["--data-checksums"]
# The server then logs which libraries it loads and which background workers it registers.
TELLING = {"log_min_messages": "debug1"}
# What the extension keeps. Consumed rows may go at any time, and the new server begins a cursor of its own.
STATE = {
    "pending": """SELECT origin, s.xid::text, s.seq, s.payload
                  FROM litellm_spend.staging s JOIN litellm_spend.fold_cursor c USING (origin)
                  WHERE NOT pg_visible_in_snapshot(s.xid, c.folded_through) ORDER BY s.xid, s.seq""",
    "cursor": "SELECT * FROM litellm_spend.fold_cursor WHERE folded > 0",
    "ledger": "SELECT * FROM litellm_spend.ledger ORDER BY request_hash",
    "rejected": "SELECT * FROM litellm_spend.rejected ORDER BY id",
}
TOTALS = ("folded", "duplicates", "reused_ids", "rejected")


@dataclass(frozen=True)
class Upgraded:
    """A running server that pg_upgrade created, and the contents of its database before that."""

    database: Database
    counted: list[Record]
    pending: list[Record]
    state: dict[str, list[tuple]]
    totals: dict[str, int]

    @property
    def cluster(self) -> Cluster:
        return self.database.cluster


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Upgraded]:
    with ExitStack() as stack:
        old = Cluster(initdb=INITDB, installation=older_major())
        stack.callback(old.remove)
        old.start()
        database = Database(old, "spend")
        already, pending = fill(database)
        state, totals = state_of(database), totals_of(database)
        database.close()
        old.stop()
        # A server in use has this setting. Only then could its worker run while pg_upgrade runs the server.
        old.configure(shared_preload_libraries="litellm_spend", **TELLING)
        new = Cluster(TELLING, initdb=INITDB)
        stack.callback(new.remove)
        new.upgrade_from(old)
        new.start()
        database = Database(new, database.name)
        stack.callback(database.close)
        yield Upgraded(database, already, pending, state, totals)


def fill(database: Database) -> tuple[list[Record], list[Record]]:
    """Records that are counted, and others that wait. Both include repetitions, and one record is rejected."""
    database.cluster.create_database(database.name)
    # The cluster keeps no template, because pg_upgrade refuses a database to which nothing may connect.
    apply_migrations(database.cluster, database.name, NEWEST.migration_files())
    configure(database, ledger="on")
    database.execute("CREATE EXTENSION litellm_spend")
    first = spend_records(5, "counted")
    reused = spend_record(request_id="counted-0")
    database.record([*first, "no record"], "reject")
    database.wait_folded()
    database.record([first[1], reused])
    database.wait_folded()
    # Without the library nothing folds the rows that are staged now.
    database.cluster.stop()
    database.cluster.configure(shared_preload_libraries="")
    database.cluster.start()
    pending = spend_records(7, "pending")
    database.record([*pending[:4], first[2]])
    database.record([*pending[4:], pending[0]])
    return [*first, {**reused, "request_id": f"counted-0#{reused['litellm_call_id']}"}], pending


def state_of(database: Database) -> dict[str, list[tuple]]:
    return {name: database.query(statement) for name, statement in STATE.items()}


def totals_of(database: Database) -> dict[str, int]:
    status = database.status()
    return {name: status[name] for name in TOTALS}


def test_no_worker_of_the_extension_runs_while_pg_upgrade_does(upgraded: Upgraded) -> None:
    [log] = [text for name, text in upgraded.cluster.upgrade_logs().items() if name == "pg_upgrade_server.log"]
    # Both servers had the library, and each would have logged its launcher, as the running server did.
    assert len(re.findall('loaded library "litellm_spend"', log)) >= 2
    launcher = 'background worker "litellm_spend launcher"'
    assert launcher in upgraded.cluster.log()
    assert launcher not in log


def test_what_was_pending_is_counted_once_and_what_was_counted_stays_known(upgraded: Upgraded) -> None:
    database, already, pending = upgraded.database, upgraded.counted, upgraded.pending
    # All rows are there and wait for adopt(), as the database reports.
    assert len(upgraded.state["pending"]) == 9
    assert state_of(database) == upgraded.state
    assert totals_of(database) == upgraded.totals == {"folded": 6, "duplicates": 1, "reused_ids": 1, "rejected": 1}
    assert (database.status()["foreign_rows"], database.status()["backlog"]) == (9, 0)
    assert "litellm_spend.adopt()" in database.status()["advice"]
    [(state, advice)] = database.query("SELECT state, advice FROM litellm_spend.health()")
    assert state == "degraded" and "litellm_spend.adopt()" in advice
    assert_counted(database, already)

    # The new server takes records meanwhile, and knows which requests the old one counted.
    new = spend_records(2, "new")
    database.record([*new, already[3]])
    database.wait_folded()
    assert_counted(database, [*already, *new])
    assert database.status()["duplicates"] == 2

    assert database.value("SELECT litellm_spend.adopt()") == 9
    assert database.value("SELECT litellm_spend.adopt()") == 0
    database.wait_folded()
    everything = [*already, *new, *pending]
    assert_counted(database, everything)
    assert totals_of(database) == {"folded": 15, "duplicates": 4, "reused_ids": 1, "rejected": 1}
    assert (database.status()["foreign_rows"], database.status()["advice"]) == (0, None)
    assert database.value("SELECT state FROM litellm_spend.health()") == "ok"
    assert database.query(f"SELECT * FROM litellm_spend.verify('{DAY}', '{DAY}')") == []

    # The ledgers of both servers remember an id whose log row is gone.
    database.execute('DELETE FROM "LiteLLM_SpendLogs"')
    database.record(everything)
    database.wait_folded()
    assert counted(database) == 0
    assert database.status()["duplicates"] == 4 + len(everything)
    assert database.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"') == len(everything)
