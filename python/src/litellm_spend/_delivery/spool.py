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
# A directory that could not be used is tried again after this time: its disk may have been full.
_UNUSABLE_SECONDS: Final = 10.0
_FORK_SECONDS: Final = 1.0


class Spool:
    """`destination`: the name of the database, without secrets; empty if it cannot be known yet. The records of a file
    are for the database that the file names, and wait if it names none.
    `has_before_send`: a file whose process had such a function is sent only by a process that has one too, because the
    function may remove what must not be sent.
    """

    broken = 0
    """How many files could not be read or written."""

    def __init__(self, directory: SpoolDirectory, destination: Callable[[], str], *, has_before_send: bool) -> None:
        self.directory = directory
        self._destination = destination
        self._has_before_send = has_before_send
        # For opening and closing files, and for which ones are open.
        self._lock = ForkLock(_FORK_SECONDS)
        self._own: LockedFile | None = None
        self._own_destination = ""
        self._unusable_until = float("-inf")
        self._problem = ""
        self._log = RateLimitedLog()
        self._files_left: Iterator[LockedFile] = iter(())
        self._left: LockedFile | None = None
        self._looked_at = float("-inf")

    def put(self, record: str) -> bool:
        """Writes a record into this process's file. Returns False if that is not possible. Never raises."""
        for _ in range(3):
            file = self._own or self._create()
            if file is None:
                return False
            try:
                if not self._own_destination:
                    self._note_destination(file)
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
        if self._left is None and time.monotonic() > self._unusable_until:
            with self._lock:
                self._left = self._next_left()
                if self._left is None and time.monotonic() - self._looked_at > _LOOK_EVERY_SECONDS:
                    self._looked_at = time.monotonic()
                    self._files_left = self._look()
                    self._left = self._next_left()
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
                if file.close_if_empty():
                    _remove(file)
                else:
                    file.leave()

    def leave_broken(self, file: LockedFile, error: sqlite3.Error) -> None:
        """Gives up a file that cannot be read or written."""
        with self._lock:
            self._own = None if self._own is file else self._own
            self._left = None if self._left is file else self._left
            self._give_up(file, error)

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
            if self._own is None and time.monotonic() > self._unusable_until:
                try:
                    self.directory.prepare()
                    file = self.directory.create()
                    self._own_destination = self._destination()
                    file.note(database=self._own_destination, before_send="yes" if self._has_before_send else "no")
                    self._own, self._problem = file, ""
                except (SpoolUnusable, OSError, sqlite3.Error) as error:
                    self._note_problem(error)
            return self._own

    def _note_destination(self, file: LockedFile) -> None:
        """Names the database in a file that was created before it was known."""
        if destination := self._destination():
            file.note(database=destination)
            self._own_destination = destination

    def _note_problem(self, error: Exception) -> None:
        """Tells a problem once, and keeps records in memory for a while."""
        self._unusable_until = time.monotonic() + _UNUSABLE_SECONDS
        problem = _reason(error)
        if problem != self._problem:
            self._problem = problem
            log.warning("records are kept in memory only, because the spool cannot be used: %s", problem)

    def _has_other(self, file: LockedFile, error: sqlite3.Error) -> bool:
        """Handles a failed `put`. Returns whether another file may work."""
        if file.is_gone():
            with self._lock:
                if self._own is file:  # else the process ends, and has left its file
                    self._own = None
                    file.abandon()
            return True
        if _is_corrupt(error):
            self.leave_broken(file, error)
            return True
        self._log.error(
            f"a spend record is kept in memory only, because the spool {self.directory.path} takes no more ({error}): "
            "free its disk, or raise spool_max_mb"
        )
        return False

    def _look(self) -> Iterator[LockedFile]:
        """The files of processes that are gone; none if the directory may have been written by others."""
        try:
            self.directory.check()
            return self.directory.left_files()
        except SpoolUnusable as error:
            self._note_problem(error)
            return iter(())

    def _next_left(self) -> LockedFile | None:
        try:
            for file in self._files_left:
                try:
                    if self._may_send(file):
                        return file
                except sqlite3.Error as error:
                    self._give_up(file, error)
        except OSError as error:
            self._log.error(f"the spool directory {self.directory.path} cannot be read: {_reason(error)}")
        return None

    def _give_up(self, file: LockedFile, error: sqlite3.Error) -> None:
        self.broken += 1
        with contextlib.suppress(sqlite3.Error):
            file.close()
        if _is_corrupt(error):
            set_aside_corrupt(file.path)
        else:
            log.error(
                "the spool file %s cannot be used (%s): a later process tries to send its records", file.path, error
            )
        file.abandon()

    def _may_send(self, file: LockedFile) -> bool:
        """Whether this process may send a file's records. Removes an empty file."""
        if not file.pending():
            _remove(file)
            return False
        about = file.about()
        database, destination = about.get("database", ""), self._destination()
        if not database or database != destination:
            reason = f"its records are for {database or 'a database that its process did not know'}"
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
    """SQLite's other errors (a full disk, for example) have classes of their own, except for a missing table."""
    return type(error) is sqlite3.DatabaseError or "no such table" in str(error)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
