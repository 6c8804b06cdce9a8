"""Which Postgres the harness runs, and as which user.

Postgres refuses to run as root, so root starts servers as an unprivileged user; anybody else runs
them as themselves.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@cache
def pg_config() -> Path:
    """The pg_config of the server under test: LITELLM_SPEND_PG_CONFIG, else the one `make` prepared for PG (18)."""
    named = os.environ.get("LITELLM_SPEND_PG_CONFIG")
    path = Path(named) if named else PROJECT / ".build" / "pg" / os.environ.get("PG", "18") / "bin" / "pg_config"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: run `make test`, or `scripts/setup-postgres.sh MAJOR` first")
    # The server's user may be able to enter the real folder but not the one that a link lies in.
    return path.resolve()


def bindir() -> Path:
    return _folder("--bindir")


def libdir() -> Path:
    return _folder("--libdir")


def isolationtester() -> Path:
    """The program with which Postgres tests interleavings of its own; it comes with the headers."""
    program = _folder("--pgxs").parents[1] / "test" / "isolation" / "isolationtester"
    if not program.exists():
        raise FileNotFoundError(f"{program} does not exist: install Postgres' server headers with their test programs")
    return program


@cache
def _folder(option: str) -> Path:
    return Path(subprocess.run([pg_config(), option], check=True, capture_output=True, text=True).stdout.strip())


@dataclass(frozen=True)
class ServerUser:
    """The user a server runs as: ids for subprocess, or nothing where that is the current user."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def popen_arguments(self) -> dict[str, object]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, self.gid or -1)


@cache
def server_user() -> ServerUser:
    if os.geteuid() != 0:
        return ServerUser(pwd.getpwuid(os.geteuid()).pw_name)
    entry = pwd.getpwnam(os.environ.get("SERVER_USER", "nobody"))
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
