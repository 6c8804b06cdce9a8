"""LiteLLM is upgraded while the worker folds. Nothing is lost, counted twice or left out, and the worker stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import psycopg
import pytest
from psycopg.types.json import Json

from conftest import Tell, discard, new_database
from harness.catalogue import differences, tables_of
from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_schema import NEWEST, SCHEMAS, LiteLLMSchema, apply_migrations, pending_migrations
from harness.litellm_tables import LOGS
from harness.waiting import wait_until
from mixed import world
from mixed.call import Call
from mixed.comparison import KEYS, on_key_of
from mixed.expected import Rows, Total, expected_rows
from mixed.generator import first_day, random_calls, record_of

CLIENTS = 2
BATCH = 10
PAUSE = 0.05
ENOUGH = 100
"""Calls that are folded before the first migration, and after the last."""
COUNTS = ("api_requests", "request_count", "failed_requests")
"""Columns that count the calls in a table's row."""


class Load:
    """Clients that record until they are told to stop, and the calls that each has sent."""

    def __init__(self, database: Database) -> None:
        self.sent: list[list[Call]] = [[] for _ in range(CLIENTS)]
        self._database = database
        self._stop = threading.Event()
        self._failures: list[psycopg.Error] = []

    def calls(self) -> list[Call]:
        return [call for of_client in self.sent for call in of_client]

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        assert self._failures == []

    def _client(self, number: int) -> None:
        random = Random(number)
        try:
            with self._database.connect() as connection:
                while not self._stop.wait(PAUSE):
                    # Each call has its own id. Another test covers repeated ids.
                    ids = [f"{number}-{len(self.sent[number]) + at}" for at in range(BATCH)]
                    calls = [
                        replace(call, request_id=name, call_id=name)
                        for call, name in zip(random_calls(random, BATCH, first_day()), ids, strict=True)
                    ]
                    records = Json([record_of(call, random) for call in calls])
                    connection.execute("SELECT litellm_record_spend(%s::jsonb)", (records,))
                    self.sent[number] += calls
        except psycopg.Error as error:
            self._failures.append(error)


@pytest.mark.parametrize("schema", SCHEMAS[:-1], ids=lambda schema: schema.litellm)
def test_an_upgrade_beside_the_worker_loses_nothing(cluster: Cluster, tell: Tell, schema: LiteLLMSchema) -> None:
    database, newest = new_database(cluster, schema=schema), new_database(cluster, extension=False)
    world.build(database)
    before = columns_of(database)
    load = Load(database)
    with load.running():
        wait_until(lambda: folded(database) > ENOUGH, what="the worker to fold under load")
        workers = [worker_of(database)]
        apply_migrations(cluster, database.name, pending_migrations(schema))
        migrated = [len(of_client) for of_client in load.sent]
        wait_until(lambda: len(load.calls()) > sum(migrated) + ENOUGH, what="calls after the migrations")
        workers.append(worker_of(database))
    database.wait_folded()
    workers.append(worker_of(database))
    calls, counted, restarts = load.calls(), folded(database), len(set(workers)) - 1
    later = [call for of_client, at in zip(load.sent, migrated, strict=True) for call in of_client[at:]]
    tell(
        f"upgrades to LiteLLM {NEWEST.litellm} under load",
        f"{schema.litellm}: {len(calls)} sent, {counted} folded, {len(calls) - counted} lost,"
        f" {len(later)} of them after the last migration, worker restarts {restarts}",
    )
    assert restarts == 0
    assert differences(tables_of(newest), tables_of(database)) == []

    assert (counted, database.status()["duplicates"]) == (len(calls), 0)
    logged = database.query(f'SELECT request_id FROM "{LOGS}"')
    assert sorted(name for (name,) in logged) == sorted(call.request_id for call in calls)
    expected = expected_rows(calls)
    expected_later = expected_rows(later)
    for table in KEYS:
        if table in before:
            assert_sums(database, table, before[table], expected[table])
        else:
            assert_within(database, table, expected_later[table], expected[table])
    discard(database)
    discard(newest)


def folded(database: Database) -> int:
    return database.status()["folded"]


def worker_of(database: Database) -> int:
    """The worker's process."""
    workers = "SELECT pid FROM pg_stat_activity WHERE application_name = 'litellm_spend worker' AND datname = %s"
    return database.value(workers, database.name)


def columns_of(database: Database) -> dict[str, set[str]]:
    return {
        table: {part.removeprefix("column ") for part in parts if part.startswith("column ")}
        for table, parts in tables_of(database).items()
    }


def assert_sums(database: Database, table: str, columns: set[str], expected: Rows) -> None:
    """Each call counts once in the columns that existed before the upgrade, by the key of that time."""
    wanted = on_key_of(expected, table, columns)
    sums = {column for row in wanted.values() for column in row} & columns
    found = sums_of(database, table, columns, sums)
    assert found.keys() == wanted.keys(), table
    for key, row in wanted.items():
        for column in sums:
            total = row.get(column, Total())
            assert total.problem_with(found[key][column]) == "", (table, key, column)


def assert_within(database: Database, table: str, least: Rows, most: Rows) -> None:
    """A table that came with the upgrade has each later call once.

    A table of entities is empty, because the fold creates none of their rows.
    """
    columns = columns_of(database)[table]
    counts = columns.intersection(COUNTS)
    if not counts:
        return
    # Its first rows may be older than the column of their endpoint.
    key = columns - {"endpoint"}
    least, most = on_key_of(least, table, key), on_key_of(most, table, key)
    found = sums_of(database, table, key, counts)
    assert least.keys() <= found.keys() <= most.keys(), table
    for name, row in found.items():
        for column in counts:
            lowest = least.get(name, {}).get(column, Total()).value
            assert lowest <= row[column] <= most[name].get(column, Total()).value, (table, name, column)


def sums_of(database: Database, table: str, columns: set[str], sums: set[str]) -> dict[tuple, dict[str, float]]:
    """The table's rows by its key columns that are among `columns`."""
    keys = [column for column in KEYS[table] if column in columns]
    shown = keys + [f"coalesce(sum({column}), 0)::float8 AS {column}" for column in sorted(sums)]
    rows = database.rows(f'SELECT {", ".join(shown)} FROM "{table}" GROUP BY {", ".join(keys)}')
    return {tuple(row.pop(column) for column in keys): row for row in rows}
