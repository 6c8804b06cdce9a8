"""Sessions that record without end, each in a database of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from psycopg.types.json import Jsonb

from .database import Database, Record
from .records import assert_counted, spend_records


@contextmanager
def recorders(databases: list[Database], *, records: int, pause: float) -> Iterator[None]:
    """Record in each database meanwhile, `records` at a time with a pause between.

    In the end each database must have counted all of them.
    """
    stop = threading.Event()
    sent: dict[str, list[Record]] = {database.name: [] for database in databases}

    def record(database: Database) -> None:
        with database.connect() as connection:
            while not stop.is_set():
                batch = spend_records(records, f"r{len(sent[database.name])}")
                connection.execute("SELECT litellm_record_spend(%s)", (Jsonb(batch),))
                sent[database.name] += batch
                stop.wait(pause)

    with ThreadPoolExecutor(len(databases)) as pool:
        jobs = [pool.submit(record, database) for database in databases]
        try:
            yield
        finally:
            stop.set()
        for job in jobs:
            job.result()
    for database in databases:
        database.wait_folded("60 s")
        assert_counted(database, sent[database.name])
