"""Which Postgres the harness runs, and as which user. A test may run another Postgres beside it.

Postgres refuses to run as root, so root starts servers as an unprivileged user. Any other user starts
them as itself.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import versions

from .locking import one_at_a_time

PROJECT = versions.CARGO_TOML.parent


def make_tool(name: str) -> None:
    """Install once what scripts/tools.sh has under this name."""
    script = PROJECT / "scripts" / "tools.sh"
    with one_at_a_time(f"tool-{name}"):
        done = subprocess.run([script, name])
    assert done.returncode == 0, f"{script} {name} failed: see above"


@cache
def pg_config() -> Path:
    """The pg_config of the server under test: LITELLM_SPEND_PG_CONFIG, or the one that `make prepare` made for PG."""
    named = os.environ.get("LITELLM_SPEND_PG_CONFIG")
    major = os.environ.get("PG") or str(versions.POSTGRES[-1].major)
    path = Path(named) if named else PROJECT / ".build" / "pg" / major / "bin" / "pg_config"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Run `make prepare PG={major}` first.")
    # The server's user may be able to enter the real folder, but not the folder that has the link.
    return path.resolve()


@dataclass(frozen=True)
class Installation:
    """The programs and libraries of one Postgres, found as its pg_config tells."""

    pg_config: Path

    @property
    def bindir(self) -> Path:
        return self.folder("bindir")

    @property
    def libdir(self) -> Path:
        return self.folder("libdir")

    def folder(self, name: str) -> Path:
        return Path(_ask(self.pg_config, f"--{name}"))


def under_test() -> Installation:
    return Installation(pg_config())


def older_major() -> Installation:
    """The Postgres of the major before the one under test, which `make stress` prepares."""
    named = os.environ.get("LITELLM_SPEND_OLD_PG_CONFIG")
    if not named:
        raise LookupError(
            "LITELLM_SPEND_OLD_PG_CONFIG is not set. It names the pg_config of an older Postgres with the extension."
            " Run `make stress`, which prepares one."
        )
    path = Path(named)
    if not path.exists():
        raise FileNotFoundError(f"LITELLM_SPEND_OLD_PG_CONFIG={named} does not exist. Run `make stress`.")
    return Installation(path.resolve())


def bindir() -> Path:
    return under_test().bindir


def libdir() -> Path:
    return under_test().libdir


def isolationtester() -> Path:
    """The program with which Postgres tests its own interleavings. It comes with the headers."""
    program = under_test().folder("pgxs").parents[1] / "test" / "isolation" / "isolationtester"
    if not program.exists():
        raise FileNotFoundError(f"{program} does not exist. Install Postgres' server headers with their test programs.")
    return program


@cache
def _ask(pg_config: Path, option: str) -> str:
    return subprocess.run([pg_config, option], check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class ServerUser:
    """The user that a server runs as: ids for subprocess, or nothing if it is the current user."""

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
