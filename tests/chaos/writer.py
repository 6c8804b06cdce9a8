"""A client that records again and again, through every death of the server, and remembers what it was told."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from chaos.ledger import MOST_RECORDS, Batch, Fate
from harness.database import Database
from harness.waiting import wait_until

RECORD = "SELECT litellm_record_spend(%s)"
# A prepared transaction is ended this many batches later.
PREPARED_FOR = 5
SERVER_IS_GOING = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)


class Writer:
    def __init__(self, name: str, database: Database, seed: int, pause: float) -> None:
        """`pause` is the time between two batches, in seconds."""
        self.name = name
        self._pause = pause
        self.batches: list[Batch] = []
        self.acknowledged = 0
        self._database = database
        self._random = random.Random(seed)
        self._connection: psycopg.Connection | None = None
        self._stop = threading.Event()

    def start(self, pool: ThreadPoolExecutor) -> Future[None]:
        return pool.submit(self._run)

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        prepared: list[Batch] = []
        try:
            while not self._stop.wait(self._pause):
                batch = self._new_batch()
                self._lead(batch)
                if batch.fate is Fate.PREPARED:
                    prepared.append(batch)
                if prepared and len(self.batches) >= self.batches.index(prepared[0]) + PREPARED_FOR:
                    self._end_prepared(prepared.pop(0))
        finally:
            if self._connection is not None:
                self._connection.close()

    def _new_batch(self) -> Batch:
        kept = self._random.randint(1, MOST_RECORDS - 3)
        undone = self._random.choice((0, 0, 0, 3))
        self.batches.append(Batch(f"{self.name}-{len(self.batches)}", kept, undone))
        return self.batches[-1]

    def _lead(self, batch: Batch) -> None:
        if batch.undone:
            act = self._random.choice((self._send_with_savepoint, self._send_and_prepare, self._roll_back))
        else:
            act = self._send
        try:
            act(batch)
        except psycopg.OperationalError as error:
            self._forget_connection(error)
            # Half of the batches with an unknown outcome are sent again under the same ids, and half are left.
            if batch.fate is Fate.UNKNOWN and act == self._send and self._random.random() < 0.5:
                batch.resent = True
                self._insist(lambda: self._send(batch))
        if batch.fate is Fate.ACKNOWLEDGED:
            self.acknowledged += batch.kept

    def _send(self, batch: Batch) -> None:
        self._session().execute(RECORD, (Jsonb(batch.kept_records),))
        batch.fate = Fate.ACKNOWLEDGED

    def _stage_all(self, batch: Batch) -> psycopg.Connection:
        """Run a transaction that undoes a part of its work, and leave it open."""
        batch.fate = Fate.ROLLED_BACK
        session = self._session()
        session.execute("BEGIN")
        half = len(batch.kept_records) // 2
        session.execute(RECORD, (Jsonb(batch.kept_records[:half]),))
        session.execute("SAVEPOINT s")
        session.execute(RECORD, (Jsonb(batch.undone_records),))
        session.execute("ROLLBACK TO SAVEPOINT s")
        session.execute(RECORD, (Jsonb(batch.kept_records[half:]),))
        return session

    def _send_with_savepoint(self, batch: Batch) -> None:
        session = self._stage_all(batch)
        batch.fate = Fate.UNKNOWN
        session.execute("COMMIT")
        batch.fate = Fate.ACKNOWLEDGED

    def _roll_back(self, batch: Batch) -> None:
        self._stage_all(batch).execute("ROLLBACK")

    def _send_and_prepare(self, batch: Batch) -> None:
        """The transaction is prepared or gone: `_end_prepared` finds out which."""
        session = self._stage_all(batch)
        batch.fate = Fate.PREPARED
        session.execute(f"PREPARE TRANSACTION '{batch.name}'")

    def _end_prepared(self, batch: Batch) -> None:
        commit = self._random.random() < 0.7
        # At the first look nothing could have ended the transaction yet.
        found = self._insist(lambda: self._is_prepared(batch))
        if found:
            verb = "COMMIT" if commit else "ROLLBACK"
            self._insist(
                lambda: self._is_prepared(batch) and self._session().execute(f"{verb} PREPARED '{batch.name}'")
            )
        batch.fate = Fate.ACKNOWLEDGED if found and commit else Fate.ROLLED_BACK
        if batch.fate is Fate.ACKNOWLEDGED:
            self.acknowledged += batch.kept

    def _is_prepared(self, batch: Batch) -> bool:
        query = "SELECT count(*) FROM pg_prepared_xacts WHERE gid = %s"
        return self._session().execute(query, (batch.name,)).fetchone() == (1,)

    def end_all_prepared(self) -> None:
        """Ends what is prepared, after the last death."""
        for batch in self.batches:
            if batch.fate is Fate.PREPARED:
                self._end_prepared(batch)
        self._session().close()

    def _insist(self, act):
        """Repeat the work until the server lives long enough to say that it is done."""
        while True:
            try:
                return act()
            except psycopg.OperationalError as error:
                self._forget_connection(error)

    def _session(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = wait_until(self._connect, deadline=120, what="the server to come back")
        return self._connection

    def _connect(self) -> psycopg.Connection | None:
        try:
            return self._database.connect()
        except psycopg.OperationalError:
            return None

    def _forget_connection(self, error: psycopg.OperationalError) -> None:
        """No death explains an error of a server that goes on."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed and not isinstance(error, SERVER_IS_GOING):
            raise error
        if connection is not None:
            connection.close()
