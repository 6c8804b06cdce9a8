"""Records that wait in a file, in the order in which they came. The file outlives the process.

The file is an SQLite database in WAL mode without fsync: a committed record survives the end of the process by any
signal, but not always a crash of the machine. One process uses it at a time; `spool_directory` sees to that.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from .fork_lock import ForkLock
from .memory_queue import Item

# Marks the file as one of this package (SQLite's application_id), and tells its form (SQLite's user_version).
_APPLICATION: Final = 0x4C535044
_FORM: Final = 1
_PAGE_BYTES: Final = 4096
_FORK_SECONDS: Final = 1.0
# A process alone uses the file, so SQLite needs no shared memory beside it.
_SETTINGS: Final = f"""
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA page_size = {_PAGE_BYTES};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
"""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, captured_at REAL NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_PUT: Final = "INSERT INTO records VALUES (?, ?, ?)"
_READ: Final = "SELECT number, captured_at, record FROM records WHERE number > ? ORDER BY number LIMIT ?"
_REMOVE: Final = "DELETE FROM records WHERE number BETWEEN ? AND ?"
_OF_FILE: Final = "SELECT count(*), coalesce(min(number), 0), coalesce(max(number), 0) FROM records"


class UnknownForm(Exception):
    """The file is not one of this package, or another version of this package wrote it."""


class SpoolFile:
    """A file of records. Its methods raise sqlite3.Error, also after `close`."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Opens the file, which must exist and may be empty; raises UnknownForm."""
        self.path = path
        self._max_bytes = max_bytes
        self._lock = ForkLock(_FORK_SECONDS)
        self._database: sqlite3.Connection | None = None
        self._is_closed = False
        with self._lock:
            count, first, last = self._open().execute(_OF_FILE).fetchone()
        self._count = int(count)
        self._last = int(last)
        self._taken = int(first) - 1
        """The number of the last record that was taken."""

    def note(self, **about: str) -> None:
        """Writes what another process has to know before it sends the records."""
        with self._lock:
            self._open().executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())

    def about(self) -> dict[str, str]:
        with self._lock:
            return dict(self._open().execute("SELECT name, value FROM about"))

    def put(self, record: str) -> None:
        """Adds a record. When this returns, the record survives the end of the process."""
        with self._lock:
            self._open().execute(_PUT, (self._last + 1, time.time(), record))
            self._last += 1
            self._count += 1

    def take(self, count: int, size: int) -> list[Item]:
        """Reads up to `count` records of up to `size` characters together, and one at least, that were not taken."""
        items: list[Item] = []
        with self._lock:
            for row in self._open().execute(_READ, (self._taken, count)):
                items.append(Item(*row))
                size -= len(row[2])
                if size <= 0:
                    break
            if items:
                self._taken = items[-1].number
        return items

    def settle(self, items: list[Item]) -> None:
        """Deletes taken records that follow each other."""
        with self._lock:
            self._count -= self._open().execute(_REMOVE, (items[0].number, items[-1].number)).rowcount

    def put_back(self, items: list[Item]) -> None:
        """Makes taken records, and all that came later, ready to be taken again."""
        with self._lock:
            self._taken = min(self._taken, items[0].number - 1)

    def oldest(self) -> float | None:
        """When the oldest record was captured, in epoch seconds; None if there is none, or it cannot be read."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if row := self._open().execute(_READ, (0, 1)).fetchone():
                return float(row[1])
        return None

    def is_settled(self, number: int) -> bool:
        """Whether no record up to this number waits or is taken. False if the file cannot be read."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            first = self._open().execute(_READ, (0, 1)).fetchone() if self._count else None
            return first is None or int(first[0]) > number
        return False

    def last(self) -> int:
        """The number of the newest record, whether it still waits or not."""
        return self._last

    def pending(self) -> int:
        """How many records wait or are taken."""
        return self._count

    def close(self) -> None:
        """Closes the file for good."""
        with self._lock:
            self._is_closed = True
            self._close()

    def close_if_empty(self) -> bool:
        """Closes the file for good unless it has records. Returns whether it is closed, so that none can come."""
        with self._lock:
            if self._count == 0:
                self._is_closed = True
                self._close()
            return self._is_closed

    def is_gone(self) -> bool:
        """Whether no record can be put into the file any more."""
        return self._is_closed or not os.path.exists(self.path)

    def paths(self) -> list[Path]:
        """The file and what SQLite puts beside it."""
        return [self.path.with_name(self.path.name + end) for end in ("-wal", "-shm", "-journal", "")]

    # A forked child must not inherit an open SQLite database.

    def before_fork(self) -> None:
        """Closes the database until the fork is over. The next use opens it again."""
        if self._lock.before_fork():
            self._close()

    def after_fork_in_parent(self) -> None:
        self._lock.after_fork_in_parent()

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            if self.is_gone():
                raise sqlite3.OperationalError("the file is closed or gone")
            is_new = os.path.getsize(self.path) == 0
            database = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(database, is_new=is_new)
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database

    def _prepare(self, database: sqlite3.Connection, *, is_new: bool) -> None:
        [application] = database.execute("PRAGMA application_id").fetchone()
        [form] = database.execute("PRAGMA user_version").fetchone()
        if not is_new and (application, form) != (_APPLICATION, _FORM):
            raise UnknownForm
        database.executescript(_SETTINGS)
        database.execute(f"PRAGMA max_page_count = {max(16, self._max_bytes // _PAGE_BYTES)}")
        if is_new:
            database.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_FORM}; COMMIT;"
            )
