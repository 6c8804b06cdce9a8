"""The programs, functions, notebooks and workers of docs/recipes.md lose no record."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from harness.database import Database
from harness.waiting import wait_until

from .answers import Answers
from .recipes import COMMANDS, FILES, ONLY_AT_THE_END, Application, end, recorded

TESTS = [Path(__file__), Path(__file__).with_name("test_served_recipes.py")]


def test_each_command_of_the_document_is_run_by_a_test() -> None:
    text = "".join(path.read_text() for path in TESTS)
    assert [command for command in COMMANDS if f'"{command}"' not in text] == []


@pytest.mark.parametrize(
    "command",
    [
        "python script.py",
        "python threads.py",
        "python pool.py fork",
        "python executor.py spawn",
    ],
)
def test_a_program_may_end_at_once(database: Database, recipe: Application, command: str) -> None:
    output = recipe.run(command, **ONLY_AT_THE_END)
    assert output.splitlines()[-1] == str(["not much"] * 6)
    assert recorded(database) == {"alice": 6}


# It stands for the service that runs the function: it reads events, and freezes the process when it has the answer.
SERVICE = """
import json, os, signal, sys
from function import handler
for line in sys.stdin:
    handler(json.loads(line), None)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_function_that_is_never_resumed_loses_nothing(database: Database, recipe: Application) -> None:
    with recipe.start_other("python", "-c", SERVICE, **ONLY_AT_THE_END) as process:
        for number in range(1, 4):
            print(json.dumps({"question": "What does it cost?", "user": "alice"}), file=process.stdin, flush=True)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), process.communicate()
            assert recorded(database) == {"alice": number}
            if number == 1:  # the connection does not outlive a long freeze
                database.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'litellm_spend'"
                )
            if number < 3:
                os.kill(process.pid, signal.SIGCONT)
    assert recorded(database) == {"alice": 3}


def notebook(cells: list[str]) -> str:
    sources = [
        {
            "id": f"cell{number}",
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": cell,
        }
        for number, cell in enumerate(cells)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": sources})


CELLS = [code for name, code in FILES.items() if name.startswith("cell ")]


def execute(recipe: Application, cells: list[str]) -> list[object]:
    """Runs a notebook in a kernel of its own, which is shut down afterwards. Returns the last cell's output."""
    (recipe.folder / "notebook.ipynb").write_text(notebook(cells))
    with recipe.start_other("jupyter-execute", "--inplace", "notebook.ipynb", **ONLY_AT_THE_END) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    done = json.loads((recipe.folder / "notebook.ipynb").read_text())["cells"][-1]
    return [line for each in done["outputs"] for line in each["data"]["text/plain"]]


def test_a_notebook_waits_for_its_records(database: Database, recipe: Application) -> None:
    assert execute(recipe, CELLS) == ["True"]
    assert recorded(database) == {"alice": 1}


def test_a_kernel_that_is_shut_down_sends_its_records(database: Database, recipe: Application) -> None:
    execute(recipe, CELLS[:-1])
    assert recorded(database) == {"alice": 1}


# What another program of the application does, which need not load LiteLLM.
SEND_TASKS = """
from celery import Celery
folder = {"data_folder_in": "queue", "data_folder_out": "queue"}
app = Celery(broker="filesystem://", broker_transport_options=folder)
for number in range(7):
    app.send_task("tasks.ask", ("What does it cost?", "alice"))
"""


@pytest.mark.parametrize(
    "command",
    [
        "celery -A tasks worker --concurrency 2",
        "celery -A tasks worker --concurrency 2 --max-tasks-per-child 2",
    ],
)
def test_a_celery_worker_loses_nothing(database: Database, recipe: Application, answers: Answers, command: str) -> None:
    recipe.run("mkdir queue")
    with recipe.start_other("python", "-c", SEND_TASKS) as program:
        assert program.wait(60) == 0, program.communicate()
    with recipe.start(command, **ONLY_AT_THE_END) as worker:
        wait_until(lambda: answers.of_user["alice"] == 7, deadline=60, what="7 answers")
        output = end(worker, signal.SIGTERM)
    if list(recipe.folder.glob("spool/*")):  # Celery does not promise the signal to a process of its pool
        output += recipe.run("litellm-spend drain --spool-dir spool")
    assert recorded(database) == {"alice": 7}, output
