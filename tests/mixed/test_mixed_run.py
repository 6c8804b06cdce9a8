"""Several clients at once send 10,000 records of every kind in random order and batches, and the worker folds them.
Every table then holds what an independent computation says."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import psycopg
from psycopg.types.json import Json

from conftest import Tell
from harness.database import Database, Record

from . import world
from .call import Call
from .comparison import compare
from .expected import expected_rows
from .generator import first_day, random_calls, record_of

RECORDS = 10_000
DUPLICATES = 400
ROLLED_BACK = 300
CLIENTS = 6


def seed() -> int:
    """MIXED_SEED repeats a run."""
    return int(os.environ.get("MIXED_SEED") or Random().randrange(2**32))


def batches(random: Random, records: list[Record]) -> Iterator[list[Record]]:
    at = 0
    while at < len(records):
        size = random.choice([1, 2, 10, 100, 500])
        yield records[at : at + size]
        at += size


def send(database: Database, batches: list[tuple[list[Record], bool]]) -> None:
    """One client. It sends each batch in a transaction, which commits or not."""
    with database.connect(autocommit=False) as connection:
        for records, commits in batches:
            connection.execute("SELECT litellm_record_spend(%s::jsonb)", (Json(records),))
            if commits:
                connection.commit()
            else:
                connection.rollback()


def send_all(database: Database, random: Random, committed: list[Record], rolled_back: list[Record]) -> None:
    """Several clients at once."""
    work = [(batch, True) for batch in batches(random, committed)]
    work += [(batch, False) for batch in batches(random, rolled_back)]
    random.shuffle(work)
    failures: list[BaseException] = []

    def client(share: list[tuple[list[Record], bool]]) -> None:
        try:
            send(database, share)
        except psycopg.Error as error:
            failures.append(error)

    clients = [threading.Thread(target=client, args=(work[n::CLIENTS],)) for n in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert not failures, failures


def sent_records(random: Random, calls: list[Call]) -> list[Record]:
    """Each call's record, some of them twice, in random order."""
    records = [record_of(call, random) for call in calls]
    records += random.sample(records, DUPLICATES)
    random.shuffle(records)
    return records


def test_every_table_holds_what_was_sent(database: Database, tell: Tell) -> None:
    number = seed()
    random = Random(number)
    world.build(database)
    calls = random_calls(random, RECORDS - DUPLICATES, first_day())
    never = [record_of(call, random) for call in random_calls(random, ROLLED_BACK, first_day() + timedelta(days=99))]
    send_all(database, random, sent_records(random, calls), never)
    database.wait_folded("120 s")
    found = compare(database, expected_rows(calls), calls)
    status = database.status()
    counts = f"{len(calls)} calls, {status['folded']} folded, {status['duplicates']} sent twice, MIXED_SEED={number}"
    tell("mixed run: every table, and whether it equals an independent computation", *found, counts)
    assert [str(each) for each in found if each.problems] == [], counts
    assert (status["folded"], status["duplicates"]) == (len(calls), DUPLICATES), counts
