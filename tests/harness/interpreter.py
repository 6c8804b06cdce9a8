"""An interpreter with one version of LiteLLM, loaded once for all programs of a test run.

The processes of a run share it. The first process that needs it starts preloaded.py, which listens at a socket in the
run's folder. Each process that uses it keeps a connection open. preloaded.py ends when the last one has hung up.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .locking import one_at_a_time
from .program import Program, Run

PRELOADED = Path(__file__).with_name("preloaded.py")


class Interpreter:
    """Runs programs with one version of LiteLLM, each as a process of its own."""

    def __init__(self, python: Path, version: str, run_folder: Path) -> None:
        self.python = python
        self.version = version
        self._socket = run_folder / f"litellm-{version}.socket"
        self._log = run_folder / f"litellm-{version}.log"
        self._kept: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()

    def run(
        self,
        script: Path,
        *arguments: str,
        url: str | None,
        code: str | None = None,
        stdin: IO[str] | None = None,
        timeout: float = 120,
        **variables: str,
    ) -> Run:
        """Run `python script ...` in the script's folder. Fails unless it exits with 0.

        If `code` is given, it is run instead of the script's file.
        """
        request = _request(script, arguments, url, code, variables)
        with _file() as nothing, _file() as stdout, _file() as stderr:
            streams = (stdin or nothing, stdout, stderr)
            started = time.monotonic()
            with Program(self._fork(request, *streams), *streams) as program:
                exit_code = program.wait(timeout)
                seconds = time.monotonic() - started
                stdout.seek(0)
                ran = Run(stdout.read(), program.log(), seconds)
        assert exit_code == 0, f"exit code {exit_code} after {seconds:.1f} s: {ran.stdout[-1000:]}{ran.log}"
        return ran

    @contextmanager
    def start(self, script: Path, *arguments: str, url: str | None, code: str | None = None) -> Iterator[Program]:
        """Start the program that `run` would run, and talk with it over pipes."""
        request = _request(script, arguments, url, code, {})
        (its_stdin, stdin), (stdout, its_stdout) = os.pipe(), os.pipe()
        with open(stdin, "w", buffering=1) as stdin, open(stdout) as stdout, _file() as stderr:
            with open(its_stdin) as its_stdin, open(its_stdout, "w") as its_stdout:
                connection = self._fork(request, its_stdin, its_stdout, stderr)
            with Program(connection, stdin, stdout, stderr) as program:
                yield program

    def _fork(self, request: dict[str, object], *streams: IO[str]) -> socket.socket:
        """Start a program. Returns a connection that delivers its exit code."""
        if self._kept is None:
            self._kept = self._join()
        connection = self._connect()
        with _file() as file:
            json.dump(request, file)
            file.seek(0)
            socket.send_fds(connection, [b"!"], [stream.fileno() for stream in (*streams, file)])
        return connection

    def _join(self) -> socket.socket:
        """A connection to the preloaded process of this run. Starts the process if there is none."""
        with one_at_a_time(f"litellm-{self.version}"):
            try:
                return self._connect()
            except OSError:
                return self._start_preloaded()

    def _start_preloaded(self) -> socket.socket:
        self._socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("w") as log:
            listener.bind(str(self._socket))
            listener.listen(128)
            # This connects before the process starts, so that it ends whenever this process ends.
            connection = self._dial()
            self._process = subprocess.Popen(
                [self.python, PRELOADED, str(listener.fileno())],
                env=environment(None),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                # Ctrl-C is for the processes that use it.
                start_new_session=True,
            )
        try:
            return _greeted(connection)
        except OSError:
            raise RuntimeError(f"LiteLLM {self.version} cannot be loaded: {self._log.read_text()}") from None

    def _connect(self) -> socket.socket:
        """Wait until LiteLLM is loaded."""
        return _greeted(self._dial())

    def _dial(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._socket))
        except OSError:
            connection.close()
            raise
        return connection


def _greeted(connection: socket.socket) -> socket.socket:
    if not connection.recv(1):
        connection.close()
        raise ConnectionResetError
    return connection


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+")


def environment(url: str | None, **variables: str) -> dict[str, str]:
    """This process's environment with the given DATABASE_URL, or with none."""
    others = ("DATABASE_URL", "LITELLM_SPEND_DATABASE_URL", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in others}
    given = {} if url is None else {"DATABASE_URL": url}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **given, **variables}


def _request(
    script: Path, arguments: tuple[str, ...], url: str | None, code: str | None, variables: dict[str, str]
) -> dict[str, object]:
    return {
        "code": script.read_text() if code is None else code,
        "argv": [str(script), *arguments],
        "environment": environment(url, **variables),
    }
