"""The directory with the spool files of all processes, and whose file is whose.

Each file has a lock file beside it, which its process holds with flock. The lock goes with the process, whatever ends
it, so a file whose lock is free belongs to a process that is gone. A file is locked before its lock has its final name,
so no other process can take a file that is being created.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from .memory_queue import Item
from .spool_file import SpoolFile, UnknownForm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("litellm_spend")

_RECORDS: Final = ".sqlite3"
_LOCK: Final = ".lock"
_NEW: Final = ".new"
_CORRUPT: Final = ".corrupt"
_SET_ASIDE: Final = "set-aside.jsonl"
_NAME: Final = re.compile("[0-9a-f]{32}")
_ABANDONED_SECONDS: Final = 3600.0
# Locks or SQLite's WAL do not work on these, or only sometimes.
_NETWORK_FILE_SYSTEMS: Final = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "gfs2",
        "ocfs2",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.gcsfuse",
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.mount-s3",
        "fuse.juicefs",
    ]
)


class SpoolUnusable(Exception):
    """The directory cannot be used. The message says why, and what to do."""


class LockedFile(SpoolFile):
    """A spool file that this process has locked, until one of `leave`, `remove` and `abandon`, after which it is closed
    for good."""

    def __init__(self, path: Path, max_bytes: int, lock: int) -> None:
        super().__init__(path, max_bytes)
        self._lock_file = lock

    def leave(self) -> None:
        """Leaves the file to a later process."""
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self.abandon()

    def remove(self) -> None:
        """Removes the file; raises OSError."""
        try:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            for path in (*self.paths(), self.path.with_suffix(_LOCK)):
                path.unlink(missing_ok=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Closes the lock, and nothing else. A forked child so gives up its copy of the lock."""
        lock, self._lock_file = self._lock_file, -1
        if lock >= 0:
            os.close(lock)


class SpoolDirectory:
    """`max_bytes`: the most bytes of each file."""

    def __init__(self, path: str | os.PathLike[str], max_bytes: int) -> None:
        self.path = Path(path).expanduser().absolute()
        self._max_bytes = max_bytes

    def prepare(self) -> None:
        """Creates the directory if it is not there, for this user alone; raises SpoolUnusable."""
        if fcntl is None:
            raise SpoolUnusable("a spool needs the file locks of a POSIX system")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
        except OSError as error:
            raise SpoolUnusable(f"{self.path} cannot be created: {error.strerror}") from None
        self.check()

    def check(self) -> None:
        """Raises SpoolUnusable if the directory is not there, or not for this user alone, or not on a local disk."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise SpoolUnusable(f"{self.path} cannot be used: {error.strerror}") from None
        if not stat.S_ISDIR(found.st_mode):
            raise SpoolUnusable(f"{self.path} is no directory")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise SpoolUnusable(
                f"{self.path} is open to other users: name a directory that does not exist yet, or one that only this "
                "process's user can enter (chmod 700)"
            )
        if kind := _network_file_system(found.st_dev):
            raise SpoolUnusable(f"{self.path} is on a network file system ({kind}): name a directory on a local disk")

    def create(self) -> LockedFile:
        """A new file for this process; raises OSError or sqlite3.Error."""
        base = self.path / uuid.uuid4().hex
        new = base.with_suffix(_NEW)
        lock = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(base.with_suffix(_LOCK))
            records = base.with_suffix(_RECORDS)
            os.close(os.open(records, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return LockedFile(records, self._max_bytes, lock)
        except BaseException:
            for path in (new, base.with_suffix(_LOCK), base.with_suffix(_RECORDS)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            os.close(lock)
            raise

    def left_files(self) -> Iterator[LockedFile]:
        """Takes over the files of processes that are gone, one by one. A corrupt file is renamed."""
        for path in self._paths():
            if path.suffix == _NEW:
                _remove_abandoned(path)
            elif path.suffix == _LOCK and (file := self._take_over(path)) is not None:
                yield file

    def files(self) -> list[Path]:
        """The files with records, of all processes; raises OSError."""
        return [path for path in self._paths() if path.suffix == _RECORDS]

    def _paths(self) -> list[Path]:
        """What this package has put into the directory, by the form of its names. Anything else is left alone."""
        return sorted(path for path in self.path.iterdir() if _NAME.fullmatch(path.stem))

    def set_aside(self, items: Iterable[Item]) -> Path:
        """Writes records into a file of text, for a person to decide; raises OSError."""
        path = self.path / _SET_ASIDE
        with open(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600), "w") as file:
            for item in items:
                file.write(f"{item.record!s}\n")
        return path

    def _take_over(self, lock_path: Path) -> LockedFile | None:
        path, lock = lock_path.with_suffix(_RECORDS), _lock(lock_path)
        if lock is None:
            return None
        try:
            if os.path.exists(path):
                return LockedFile(path, self._max_bytes, lock)
            lock_path.unlink(missing_ok=True)
        except UnknownForm:
            log.warning(
                "the spool file %s has another form than this version of litellm_spend reads, so it is left where it "
                "is: run the version that wrote it, or remove it",
                path,
            )
        except sqlite3.OperationalError as error:
            log.warning("the spool file %s cannot be opened (%s) and is left where it is", path, error)
        except sqlite3.DatabaseError:
            set_aside_corrupt(path)
            lock_path.unlink(missing_ok=True)
        os.close(lock)
        return None


def set_aside_corrupt(path: Path) -> None:
    """Renames a file that SQLite cannot read."""
    aside = path.with_suffix(_CORRUPT)
    for end in ("", "-wal"):
        with contextlib.suppress(OSError):
            os.rename(f"{path}{end}", f"{aside}{end}")
    log.error(
        "the spool file %s is corrupt and is renamed to %s: its records are not sent. Try the .recover of SQLite's "
        "shell on it, or remove it",
        path,
        aside.name,
    )


def _lock(path: Path) -> int | None:
    """Locks a lock file; None if its process lives, or if another process has taken and removed it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _remove_abandoned(path: Path) -> None:
    """Removes the lock file of a process that ended before it had named it."""
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            path.unlink()


def _network_file_system(device: int) -> str | None:
    """The kind of the network file system that a device is; None if it is none, or if the system does not tell."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo") as mounts:
            for mount in mounts:
                fields, _, source = mount.partition(" - ")
                kind = source.split(" ", 1)[0]
                if fields.split(" ")[2] == number and kind in _NETWORK_FILE_SYSTEMS:
                    return kind
    except (OSError, IndexError):
        return None
    return None
