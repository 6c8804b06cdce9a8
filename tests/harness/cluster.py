"""A throwaway Postgres cluster: its own directory, port and socket, gone at the end.

The postmaster is a child of this process. The kernel (Linux) signals it when its parent dies, so
even a killed test run leaves no server behind. TCP on 127.0.0.1 asks for a random password;
the unix socket lies in a directory that only root and the server's user can enter.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from . import scratch
from .postgres import Installation, server_user, under_test
from .waiting import wait_until

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# No crash of the machine is tested here, so nothing needs to reach the disk.
DEFAULT_SETTINGS = {
    "shared_preload_libraries": "litellm_spend",
    "fsync": "off",
    "max_connections": "100",
    "max_worker_processes": "32",
    "max_prepared_transactions": "10",
    "shared_buffers": "64MB",
    "log_line_prefix": "%m [%p] %d %b ",
    "log_min_messages": "info",
}


# This process keeps these UDP ports, so that no other test process gets the TCP port of the same number.
_reserved: list[socket.socket] = []


def free_port() -> int:
    """A TCP port that nobody uses, and that no other test run gets until this process ends.

    A cluster leaves its port between stop() and start(), when a bare probe of another process would find it free.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            reservation = socket.socket(type=socket.SOCK_DGRAM)
            try:
                reservation.bind(("127.0.0.1", port))
            except OSError:
                reservation.close()
                continue
        _reserved.append(reservation)
        return port


def die_with_parent(by: signal.Signals) -> Callable[[], None]:
    """A function that a child process runs first, so that it gets this signal when its parent dies."""

    def ask_the_kernel() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)

    return ask_the_kernel


class Cluster:
    """One cluster; a context manager that starts it and removes it."""

    copies_template = False
    """Whether a cluster is a copy of the one of harness/template.py unless initdb is asked for: so in a test run."""

    def __init__(
        self,
        settings: dict[str, str] | None = None,
        *,
        initdb: list[str] | None = None,
        standby_of: Cluster | None = None,
        installation: Installation | None = None,
    ) -> None:
        """`settings` are added to DEFAULT_SETTINGS; an empty shared_preload_libraries means no preload.

        `initdb` are the options of initdb, possibly none, for a cluster that must not be a copy. Only then have its
        databases an identity that no other cluster of the tests has.
        `standby_of` makes it a streaming standby of a running cluster, with the settings of that cluster.
        `installation` has the programs that it runs, by default those of the Postgres under test.
        """
        self.installation = installation or under_test()
        self.settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self.port = 0
        self.starts = 0
        self.password = standby_of.password if standby_of else secrets.token_hex(12)
        # The databases that it was created with, to be copied.
        self.templates: tuple[str, ...] = ()
        self._postmaster: subprocess.Popen[bytes] | None = None
        self.directory = scratch.new_directory()
        try:
            server_user().own(self.directory)
            if standby_of:
                self._copy(standby_of)
            elif self.copies_template and initdb is None:
                self._copy_template()
            else:
                self._init(initdb or [])
        except BaseException:
            self.remove()
            raise

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    def log(self) -> str:
        """Everything the server logged, over all its restarts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def crashes(self) -> list[str]:
        """The log lines of server processes that died of a signal, and of panics."""
        return [line for line in self.log().splitlines() if "terminated by signal" in line or "PANIC" in line]

    def times_ready(self) -> int:
        """How often the server became ready. It becomes ready again after each crash."""
        return self.log().count("database system is ready to accept connections")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Over TCP for the superuser, with a password. Over the socket for any other user, without one."""
        if user == "postgres":
            return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"
        return self._socket_url(database, user)

    def _socket_url(self, database: str, user: str) -> str:
        return f"postgresql://{user}@/{database}?host={self.directory}&port={self.port}"

    def connect(self, database: str = "postgres", *, user: str = "postgres", autocommit: bool = True, **options):
        """A connection over the socket, because checking a password takes as long as all the rest."""
        return psycopg.connect(self._socket_url(database, user), autocommit=autocommit, connect_timeout=10, **options)

    def execute(self, statement: str, arguments: tuple | None = None, *, database: str = "postgres") -> None:
        with self.connect(database) as connection:
            connection.execute(statement, arguments)

    def query(self, statement: str, arguments: tuple | None = None, *, database: str = "postgres") -> list[tuple]:
        with self.connect(database) as connection:
            return connection.execute(statement, arguments).fetchall()

    def psql(self, *arguments: str, database: str = "postgres") -> str:
        """Run psql with these arguments, stop at the first error, and return what it printed."""
        psql = self.installation.bindir / "psql"
        command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"psql {' '.join(arguments)[:200]}: {done.stderr.strip()}")
        return done.stdout

    def create_database(self, name: str, *, template: str = "template1") -> None:
        # Copying files takes half the time of logging their pages.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def start(self, *, deadline: float = 60.0) -> None:
        """Start the server on a free port and wait until it answers."""
        self.port = self.port or free_port()
        self.starts += 1
        with self.log_file.open("ab") as log:
            self._postmaster = subprocess.Popen(
                [self.installation.bindir / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.directory],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self._environment(),
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGQUIT),
                **server_user().popen_arguments(),
            )
        wait_until(self._answers, deadline=deadline, what="the server to answer", show=lambda _: self.log()[-3000:])

    def start_again(self) -> None:
        """Start a killed server once its children, which hold its memory, are gone."""

        def starts() -> bool:
            try:
                self.start()
            except RuntimeError as error:
                if "still in use" not in str(error) and "already exists" not in str(error):
                    raise
                return False
            return True

        wait_until(starts, deadline=120, what="the killed server's children to be gone")

    def stop(self, mode: str = "fast", *, deadline: float = 60.0) -> None:
        """Stop the server: smart, fast or immediate (no checkpoint, recovery at the next start)."""
        if self._postmaster is None:
            return
        self._postmaster.send_signal(STOP_SIGNALS[mode])
        self._wait_for_exit(deadline)

    def configure(self, **settings: str) -> None:
        """Change settings of a stopped server; the next start reads them."""
        self.settings.update(settings)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def recover_to(self, archive: Path, **target: str) -> None:
        """Prepare a copy that has not started: it will replay this archive's WAL up to recovery_target_… and go on."""
        (self.data / "standby.signal").rename(self.data / "recovery.signal")
        self.configure(archive_mode="off", restore_command=f"cp {archive}/%f %p", recovery_target_action="promote")
        self.configure(**target)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """SIGKILL the postmaster; its children notice and exit, which start() must wait for."""
        assert self._postmaster is not None, "the server is not running"
        self._postmaster.kill()
        self._wait_for_exit(60.0)

    def limit_files(self, size: str) -> None:
        """From now on no process of the server can write to a file beyond this size in bytes, or `unlimited`."""
        assert self._postmaster is not None, "the server is not running"
        postmaster = self._postmaster.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            self._limit(pid, "fsize", size)

    def limit_memory(self, pid: int, size: str) -> None:
        """From now on this process of the server is refused memory beyond this size in bytes, or `unlimited`."""
        self._limit(pid, "as", size)

    def _limit(self, pid: int, resource: str, size: str) -> None:
        command = ["prlimit", "--pid", str(pid), f"--{resource}={size}:"]
        done = subprocess.run(command, capture_output=True, text=True, **server_user().popen_arguments())
        # It may have ended meanwhile.
        if done.returncode != 0 and Path(f"/proc/{pid}").exists():
            raise RuntimeError(f"cannot set a limit for process {pid} of the server: {done.stderr.strip()}")

    def remove(self) -> None:
        """End the server at once and delete its directory."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _init(self, options: list[str]) -> None:
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        server_user().own(password_file)
        arguments = ["-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync", "--auth-local=trust"]
        arguments += ["--auth-host=scram-sha-256", f"--pwfile={password_file}", *options]
        self._run("initdb", *arguments)
        password_file.unlink()
        self.configure(listen_addresses="127.0.0.1", **self.settings)

    def _copy_template(self) -> None:
        # Imported here, because the template itself needs a cluster.
        from . import template

        source = template.template_of(self.installation)
        template.copy_directory(source.data, self.data)
        self.password = source.password
        self.templates = template.TEMPLATES
        # These lines follow those of the template's own server, because the last line of a setting holds.
        self.configure(**self.settings)

    def _copy(self, primary: Cluster) -> None:
        source = f"host={primary.directory} port={primary.port} user=postgres"
        self._run("pg_basebackup", "-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")

    def upgrade_from(self, old: Cluster) -> None:
        """pg_upgrade the data of a stopped cluster of an older major into this one, which has never started.

        pg_upgrade copies: the old cluster stays as it is. upgrade_logs() has what was logged meanwhile.
        """
        arguments = ["--old-bindir", str(old.installation.bindir), "--old-datadir", str(old.data)]
        arguments += ["--new-bindir", str(self.installation.bindir), "--username", "postgres"]
        arguments += ["--old-port", str(free_port()), "--new-port", str(free_port())]
        arguments += ["--socketdir", str(self.directory), "--retain", "--no-sync"]
        self._run("pg_upgrade", *arguments)
        self.password = old.password

    def upgrade_logs(self) -> dict[str, str]:
        """What pg_upgrade and its servers logged, by file."""
        files = (self.data / "pg_upgrade_output.d").glob("*/log/*.log")
        return {file.name: file.read_text(errors="replace") for file in files}

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of Postgres' programs on the data directory, as the server's user."""
        user = server_user()
        done = subprocess.run(
            [self.installation.bindir / program, "-D", self.data, *arguments],
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=self._environment(),
            **user.popen_arguments(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} as {user.name} failed: {done.stderr.strip() or done.stdout.strip()}")

    def _environment(self) -> dict[str, str]:
        """An environment without the caller's variables: RUST_BACKTRACE or PGOPTIONS would change what is tested."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C",
            "HOME": str(self.directory),
            # Otherwise a standby's WAL receiver would load the system's libpq, which may be an older one.
            "LD_LIBRARY_PATH": str(self.installation.libdir),
        }

    def _answers(self) -> bool:
        assert self._postmaster is not None
        if self._postmaster.poll() is not None:
            raise RuntimeError(f"the server exited with {self._postmaster.returncode}:\n{self.log()[-3000:]}")
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _wait_for_exit(self, deadline: float) -> None:
        assert self._postmaster is not None
        try:
            self._postmaster.wait(deadline)
        except subprocess.TimeoutExpired:
            self._postmaster.kill()
            self._postmaster.wait()
            raise AssertionError(f"the server did not stop within {deadline:g} s:\n{self.log()[-3000:]}") from None
        finally:
            self._postmaster = None
