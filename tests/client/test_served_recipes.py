"""The servers of docs/recipes.md lose no record, however they or their workers end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import new_database
from harness.cluster import Cluster, free_port
from harness.database import Database
from harness.waiting import wait_for_value, wait_until

from .answers import Answers
from .recipes import ONLY_AT_THE_END, Application, application, end, recorded

CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'litellm_spend' AND datname = current_database()"
)


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ask(port: int, user: str = "alice") -> None:
    status, answer = get(port, f"/ask?question=cost&user={user}")
    assert (status, answer.strip('"')) == (200, "not much")


@contextmanager
def served(
    recipe: Application, command: str, gunicorn: str = "", **variables: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server of a command and its port, once it listens. `gunicorn`: more options of gunicorn."""
    port = free_port()
    where = {"UVICORN_PORT": str(port), "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port} {gunicorn}"}
    with recipe.start(command, **where, **variables) as server:

        def listens() -> bool:
            assert server.poll() is None, server.communicate()
            try:
                http.client.HTTPConnection("127.0.0.1", port).connect()
            except OSError:
                return False
            return True

        wait_until(listens, deadline=60, what=f"{command} to listen")
        yield server, port


def ask_each_worker(database: Database, answers: Answers, port: int, workers: int) -> None:
    """Make calls until each worker has made some, and some are not recorded. A worker connects when a batch is full."""

    def each_is_asked() -> bool:
        ask(port)
        return database.value(CONNECTIONS) >= workers and recorded(database) != answers.of_user

    wait_until(each_is_asked, deadline=120, what=f"calls in {workers} workers")


SMALL_BATCHES = ONLY_AT_THE_END | {"LITELLM_SPEND_BATCH_SIZE": "5"}
# With these, nothing but the application's own code sends records.
ONLY_THE_LIFESPAN = {
    **SMALL_BATCHES,
    "LITELLM_SPEND_FLUSH_AT_SIGTERM": "0",
    "LITELLM_SPEND_EXIT_TIMEOUT": "0",
}


@pytest.mark.parametrize(
    ("command", "workers", "signal_", "group"),
    [
        ("uvicorn app:app", 1, signal.SIGTERM, False),
        ("uvicorn app:app", 1, signal.SIGINT, True),
        ("uvicorn app:app --workers 2", 2, signal.SIGTERM, False),
    ],
)
def test_the_lifespan_sends_the_records(
    database: Database,
    recipe: Application,
    answers: Answers,
    command: str,
    workers: int,
    signal_: int,
    group: bool,
) -> None:
    with served(recipe, command, **ONLY_THE_LIFESPAN) as (server, port):
        ask_each_worker(database, answers, port, workers)
        output = end(server, signal_, group=group)
    assert recorded(database) == answers.of_user, output


def test_health_follows_the_database(own_cluster: Cluster, answers: Answers, tmp_path: Path) -> None:
    database = new_database(own_cluster)
    recipe = application(tmp_path, database.url, answers.address)
    with served(recipe, "uvicorn monitored:app") as (server, port):
        ask(port)
        assert get(port, "/health") == (200, '{"ok":true,"problem":null}')
        wait_for_value(lambda: json.loads(get(port, "/spend-stats")[1])["sent"], 1)
        database.close()
        own_cluster.stop()
        status, text = get(port, "/health")
        assert (status, json.loads(text)["ok"]) == (503, False)
        assert json.loads(text)["problem"] and own_cluster.password not in text
        ask(port)
        wait_until(lambda: json.loads(get(port, "/spend-stats")[1])["last_error"], what="an error in the counters")
        own_cluster.start()
        end(server, signal.SIGTERM)
    assert recorded(database) == {"alice": 2}


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("gunicorn wsgi:app --workers 2", ""),
        ("gunicorn wsgi:app --workers 2 --preload", "--max-requests 4"),
        ("gunicorn app:app --workers 2 --worker-class uvicorn_worker.UvicornWorker", ""),
        ("gunicorn app:app --workers 2 --worker-class uvicorn_worker.UvicornWorker --preload", "--max-requests 4"),
    ],
)
def test_gunicorns_workers_send_their_records_at_their_end(
    database: Database, recipe: Application, answers: Answers, command: str, options: str
) -> None:
    with served(recipe, command, options, **SMALL_BATCHES) as (server, port):
        for _ in range(12):
            ask(port)
        output = end(server, signal.SIGTERM)
        assert server.returncode == 0, output
    assert recorded(database) == answers.of_user == {"alice": 12}, output
    assert spooled(recipe) == []


def test_a_worker_that_gunicorn_kills_leaves_its_records_to_the_next(
    database: Database, recipe: Application, answers: Answers
) -> None:
    """gunicorn kills a worker that does not move for the time of --timeout."""
    command = "gunicorn wsgi:app --workers 2 --preload"
    with served(recipe, command, "--timeout 10", **SMALL_BATCHES) as (server, port):
        for _ in range(3):
            ask(port)
        # LiteLLM reports a call after it has returned.
        ids = [answers.id(number).encode() for number in (1, 2, 3)]
        wait_until(lambda: all(id_ in contents(recipe) for id_ in ids), what="three records in the spool")
        workers = children(server.pid)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        wait_until(lambda: not set(workers) & set(children(server.pid)), deadline=60, what="the workers are killed")
        assert recorded(database) == {}

        def is_sent() -> bool:
            ask(port, "bob")
            return recorded(database).get("alice") == 3

        wait_until(is_sent, deadline=60, what="a later worker to send the records")
        output = end(server, signal.SIGTERM)
    assert "WORKER TIMEOUT" in output
    assert recorded(database) == answers.of_user
    assert spooled(recipe) == []


def spooled(recipe: Application) -> list[Path]:
    return list(recipe.folder.glob("spool/*"))


def contents(recipe: Application) -> bytes:
    return b"".join(path.read_bytes() for path in spooled(recipe) if path.exists())


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
