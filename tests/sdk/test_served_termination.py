"""SIGTERM of a uvicorn server, with the default options: the captured calls are counted, and the server ends as without
the callback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import free_port
from harness.database import Database
from harness.program import Program
from harness.waiting import wait_until

from .driving import FOLDER, Sdk

TERMINATED = -signal.SIGTERM
CALLS = 3
LOGGED = 'SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE "user" = %s'


def call(port: int) -> dict[str, Any]:
    """Send one request. Returns the application's answer, once it serves."""

    def answer() -> dict[str, Any] | None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
            return json.load(response)
        return None

    return wait_until(answer, deadline=60, what="an answer")


def counted(database: Database, user: str) -> int:
    database.wait_folded()
    return database.query(LOGGED, user)[0][0]


@contextmanager
def served(litellm: Sdk, user: str, where: str, url: str) -> Iterator[tuple[Program, int]]:
    """The server and its process, after it has captured some calls."""
    port = free_port()
    with litellm.interpreter.start(FOLDER / "serving.py", user, where, str(port), url=url) as server:
        answer = [call(port) for _ in range(CALLS)][-1]
        assert answer["queued"] > 0 or where == "none"
        yield server, answer["pid"]


@pytest.mark.parametrize("where", ["none", "module", "start", "wrapped"])
def test_a_server_loses_nothing(shared_database: Database, litellm: Sdk, where: str) -> None:
    user = f"{where} {litellm.version}"
    with served(litellm, user, where, shared_database.url) as (server, pid):
        os.kill(pid, signal.SIGTERM)
        assert server.wait(60) == TERMINATED, server.log()
        assert server.log() == ""
    assert counted(shared_database, user) == (0 if where == "none" else CALLS)


@pytest.mark.parametrize("where", ["module", "start"])
def test_a_server_whose_database_is_gone_tells_what_is_lost(litellm: Sdk, where: str) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/none"
    with served(litellm, "nobody", where, url) as (server, pid):
        os.kill(pid, signal.SIGTERM)
        assert server.wait(60) == TERMINATED
        told = [line for line in server.log().splitlines() if " are lost " in line]
    # The handler that was installed before uvicorn's knows that the process ends.
    lost = "are lost at exit: " if where == "module" else "are lost if the process ends now: "
    assert [line[: line.index(":")] + ":" for line in told] == [f"{CALLS} spend records {lost}".rstrip()], told


@pytest.mark.parametrize("where", ["none", "module"])
def test_the_first_process_of_a_container_loses_nothing(shared_database: Database, newest: Sdk, where: str) -> None:
    """The kernel ignores the signal that uvicorn raises again, so the server ends as any program does."""
    port, user = free_port(), f"contained {where}"
    contained = ("unshare", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*contained, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may make no namespace of processes")
    arguments = ("serving.py", user, where, str(port))
    with newest.start_afresh(*arguments, url=shared_database.url, under=contained) as outside:
        assert call(port)["pid"] == 1
        [child] = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        _, errors = outside.communicate(timeout=60)
    assert (outside.returncode, errors) == (0, "")
    assert counted(shared_database, user) == (where == "module")
