"""The worker counts each committed record exactly once, in whatever order, and never counts one that rolled back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.types.json import Jsonb

from harness.database import Database
from harness.records import assert_counted, counted, spend_record, spend_records

RECORD = "SELECT litellm_record_spend(%s)"


def test_a_commit_becomes_visible_in_the_targets_without_anyone_calling_fold(database: Database) -> None:
    records = spend_records(3)
    assert database.record(records) == 3
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3, deadline=10)
    assert_counted(database, records)


def test_a_single_object_and_an_array_are_counted_alike(database: Database) -> None:
    one, two, three = spend_records(3)
    assert database.record(one) == 1
    assert database.record([two, three]) == 2
    assert database.record([]) == 0
    database.wait_folded()
    assert_counted(database, [one, two, three])


def test_the_worker_wakes_again_for_a_commit_after_it_went_idle(database: Database) -> None:
    first, second = spend_records(2)
    database.record(first)
    database.wait_folded()
    database.wait_for("SELECT worker FROM litellm_spend.status", "idle", deadline=30)
    database.record(second)
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2, deadline=10)
    assert_counted(database, [first, second])


def test_a_rolled_back_record_is_never_counted(database: Database) -> None:
    lost, kept = spend_records(2)
    with database.connect(autocommit=False) as connection:
        connection.execute(RECORD, (Jsonb(lost),))
        connection.rollback()
    database.record(kept)
    database.wait_folded()
    assert_counted(database, [kept])


def test_a_record_of_a_rolled_back_savepoint_is_never_counted(database: Database) -> None:
    before, lost, after = spend_records(3)
    with database.connect(autocommit=False) as connection:
        connection.execute(RECORD, (Jsonb(before),))
        connection.execute("SAVEPOINT here")
        connection.execute(RECORD, (Jsonb(lost),))
        connection.execute("ROLLBACK TO SAVEPOINT here")
        connection.execute(RECORD, (Jsonb(after),))
        connection.commit()
    database.wait_folded()
    assert_counted(database, [before, after])


def test_two_databases_are_folded_at_once_and_apart(database: Database, other_database: Database) -> None:
    sets = {database: spend_records(400, "one", user="one"), other_database: spend_records(300, "two", user="two")}

    def record_one_by_one(target: Database) -> None:
        with target.connect() as connection:
            for record in sets[target]:
                connection.execute(RECORD, (Jsonb(record),))

    with ThreadPoolExecutor() as pool:
        list(pool.map(record_one_by_one, sets))
    for target, records in sets.items():
        target.wait_folded()
        assert_counted(target, records)


def test_an_older_transaction_that_commits_after_a_younger_was_folded_is_counted(database: Database) -> None:
    old, young, youngest = spend_records(3)
    with database.connect(autocommit=False) as connection:
        connection.execute(RECORD, (Jsonb(old),))
        database.record(young)
        database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 1)
        connection.commit()
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2)
    database.record(youngest)
    database.wait_folded()
    assert_counted(database, [old, young, youngest])


def test_many_transactions_that_commit_in_the_reverse_order_are_counted_once_each(database: Database) -> None:
    records = spend_records(20)
    connections: list[psycopg.Connection] = []
    try:
        for record in records:
            connections.append(database.connect(autocommit=False))
            connections[-1].execute(RECORD, (Jsonb(record),))
        for done, connection in enumerate(reversed(connections), start=1):
            connection.commit()
            if done % 5 == 0:
                database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', done)
    finally:
        for connection in connections:
            connection.close()
    database.wait_folded()
    assert_counted(database, records)


def test_fold_beside_the_worker_and_itself_counts_each_record_once(database: Database) -> None:
    records = spend_records(600)

    def record(part: int) -> None:
        with database.connect() as connection:
            for each in records[part::3]:
                connection.execute(RECORD, (Jsonb(each),))

    def fold(_: int) -> None:
        with database.connect() as connection:
            for _ in range(40):
                connection.execute("SELECT litellm_spend.fold()")

    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(record, part) for part in range(3)] + [pool.submit(fold, number) for number in range(3)]
        for job in jobs:
            job.result()
    database.wait_folded()
    assert_counted(database, records)
    # Folds take turns: no fold read rows that another was counting.
    assert database.status()["duplicates"] == 0


def test_flush_refuses_to_wait_for_its_own_callers_lock(database: Database) -> None:
    with database.connect(autocommit=False) as connection:
        connection.execute('LOCK TABLE "LiteLLM_SpendLogs" IN SHARE MODE')
        with pytest.raises(psycopg.errors.ActiveSqlTransaction, match=r"has locked.*SpendLogs"):
            connection.execute("SELECT litellm_spend.flush()")


def test_flush_returns_false_when_the_time_ran_out(database: Database) -> None:
    record = spend_record()
    with database.held_fold():
        database.record(record)
        assert database.flush("500 ms") is False
    database.wait_folded()
    assert_counted(database, [record])


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_fold_is_refused_in_a_transaction_block(database: Database, isolation: str) -> None:
    with database.connect() as connection:
        connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        with pytest.raises(psycopg.Error) as error:
            connection.execute("SELECT litellm_spend.fold()")
        assert error.value.sqlstate == "25001"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_fold_is_refused_in_a_stricter_isolation_level(database: Database, isolation: str) -> None:
    with database.connect() as connection:
        connection.execute(f"SET default_transaction_isolation = '{isolation}'")
        with pytest.raises(psycopg.Error) as error:
            connection.execute("SELECT litellm_spend.fold()")
        assert error.value.sqlstate == "25001"


def test_fold_is_refused_when_its_statement_has_a_transaction_id(database: Database) -> None:
    with pytest.raises(psycopg.Error) as error:
        database.query("SELECT litellm_record_spend(%s), litellm_spend.fold()", Jsonb(spend_record()))
    assert error.value.sqlstate == "25001"
    assert counted(database) == 0
