"""The spool of one logger: its own file, and the files that processes left which are gone."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Final

from .._log import RateLimitedLog
from .fork_lock import ForkLock
from .spool_directory import LockedFile, SpoolDirectory, SpoolUnusable, set_aside_corrupt

log = logging.getLogger("litellm_spend")

_LOOK_EVERY_SECONDS: Final = 30.0
_FORK_SECONDS: Final = 1.0


class Spool:
    """`destination`: the name of the database, without secrets; empty if it cannot be known. The records of a file are
    for the database that the file names. `has_before_send`: a file whose process had such a function is sent only by a
    process that has one too, because the function may remove what must not be sent.
    """

    def __init__(self, directory: SpoolDirectory, destination: Callable[[], str], *, has_before_send: bool) -> None:
        self.directory = directory
        self._destination = destination
        self._has_before_send = has_before_send
        # For opening and closing files, and for which ones are open.
        self._lock = ForkLock(_FORK_SECONDS)
        self._own: LockedFile | None = None
        self._is_unusable = False
        self._log = RateLimitedLog()
        self._files_left: Iterator[LockedFile] = iter(())
        self._left: LockedFile | None = None
        self._looked_at = float("-inf")

    def put(self, record: str) -> bool:
        """Writes a record into this process's file. Returns False if that is not possible. Never raises."""
        for _ in range(2):
            file = self._own or self._create()
            if file is None:
                return False
            try:
                file.put(record)
                return True
            except sqlite3.Error as error:
                if not self._has_other(file, error):
                    return False
        return False

    def own(self) -> LockedFile | None:
        """This process's file, if it has one."""
        return self._own

    def left(self) -> LockedFile | None:
        """A file of a process that is gone, with records. It stays the same until `finish_left`. Never raises."""
        if self._left is not None or self._is_unusable:
            return self._left
        with self._lock:
            try:
                self._left = next(self._files_left, None)
                if self._left is None and time.monotonic() - self._looked_at > _LOOK_EVERY_SECONDS:
                    self._looked_at = time.monotonic()
                    self._files_left = filter(self._may_send, self.directory.left_files())
                    self._left = next(self._files_left, None)
            except (OSError, sqlite3.Error) as error:
                self._log.error(f"the spool directory {self.directory.path} cannot be read: {_reason(error)}")
            return self._left

    def finish_left(self) -> None:
        """Removes the file that `left` returned, because its records are sent."""
        with self._lock:
            file, self._left = self._left, None
            if file is not None:
                _remove(file)

    def release(self) -> None:
        """Removes this process's file if it is empty, else leaves it to a later process."""
        with self._lock:
            files, self._own, self._left = (self._own, self._left), None, None
            for file in filter(None, files):
                if file.pending():
                    file.leave()
                else:
                    _remove(file)

    def leave_broken(self, file: LockedFile, error: sqlite3.Error) -> None:
        """Gives up a file that cannot be read or written."""
        with self._lock:
            self._own = None if self._own is file else self._own
            self._left = None if self._left is file else self._left
            with contextlib.suppress(sqlite3.Error):
                file.close()
            if _is_corrupt(error):
                set_aside_corrupt(file.path)
            else:
                log.error(
                    "the spool file %s cannot be used (%s): a later process tries to send its records", file.path, error
                )
            file.abandon()

    # A forked child opens a file of its own.

    def before_fork(self) -> None:
        if self._lock.before_fork():
            for file in filter(None, (self._own, self._left)):
                file.before_fork()

    def after_fork_in_parent(self) -> None:
        for file in filter(None, (self._own, self._left)):
            file.after_fork_in_parent()
        self._lock.after_fork_in_parent()

    def copy_for_child(self) -> Spool:
        for file in filter(None, (self._own, self._left)):
            file.abandon()
        return Spool(self.directory, self._destination, has_before_send=self._has_before_send)

    def _create(self) -> LockedFile | None:
        with self._lock:
            if self._own is None and not self._is_unusable:
                try:
                    self.directory.prepare()
                    file = self.directory.create()
                    file.note(database=self._destination(), before_send="yes" if self._has_before_send else "no")
                    self._own = file
                except (SpoolUnusable, OSError, sqlite3.Error) as error:
                    self._is_unusable = True
                    log.warning("records are kept in memory only, because the spool cannot be used: %s", _reason(error))
            return self._own

    def _has_other(self, file: LockedFile, error: sqlite3.Error) -> bool:
        """Handles a failed `put`. Returns whether another file may work."""
        if _is_corrupt(error) or not file.path.exists():
            self.leave_broken(file, error)
            return True
        self._log.error(
            f"a spend record is kept in memory only, because the spool {self.directory.path} takes no more ({error}): "
            "free its disk, or raise spool_max_mb"
        )
        return False

    def _may_send(self, file: LockedFile) -> bool:
        """Whether this process may send a file's records. Removes an empty file."""
        if not file.pending():
            _remove(file)
            return False
        about = file.about()
        database, destination = about.get("database", ""), self._destination()
        if database and destination and database != destination:
            reason = f"its records are for {database}"
        elif about.get("before_send") == "yes" and not self._has_before_send:
            reason = "its process had a before_send and this one has none"
        else:
            return True
        log.info("the spool file %s is left where it is: %s", file.path, reason)
        file.leave()
        return False


def _remove(file: LockedFile) -> None:
    try:
        file.remove()
    except OSError as error:
        log.warning("the spool file %s cannot be removed: %s", file.path, _reason(error))


def _is_corrupt(error: sqlite3.Error) -> bool:
    """SQLite's other errors (a full disk, for example) have classes of their own."""
    return type(error) is sqlite3.DatabaseError


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
