"""A program that runs in a fork of a loaded interpreter, and its output when it has ended."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import IO, Any


@dataclass(frozen=True)
class Run:
    """The output of a process and how long it took."""

    stdout: str
    log: str
    seconds: float = 0.0

    @property
    def reported(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    @property
    def sdk(self) -> dict[str, Any]:
        """What the SDK reported: the first line of JSON."""
        return self.reported[0]

    def log_lines(self) -> list[str]:
        """The lines of the logger `litellm_spend`."""
        return [line for line in self.log.splitlines() if line.startswith("litellm_spend: ")]


@dataclass
class Program:
    """A running program. At the end of the context manager a program that still runs is killed."""

    connection: socket.socket
    # The streams that it reads and writes.
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]

    def wait(self, seconds: float) -> int:
        """Its exit code. The program is killed after this many seconds."""
        self.connection.settimeout(seconds)
        try:
            return self._exit_code()
        except TimeoutError:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(60)
            return self._exit_code()

    def log(self) -> str:
        """What it has written to stderr."""
        self.stderr.seek(0)
        return self.stderr.read()

    def _exit_code(self) -> int:
        # Such a short line comes in one piece.
        return int(self.connection.recv(16))

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
