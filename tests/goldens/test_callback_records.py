"""Each golden case, as the callback of python/ sends it, and counted by the worker."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from .case import FOLDER, NAMES
from .runner import by_worker, check
from .shapes import Record, Shape
from .site import Site


@pytest.fixture(scope="session")
def callback_records(litellm_python: Path) -> dict[str, list[Record]]:
    """What the callback makes of each request, by case."""
    command = [litellm_python, FOLDER / "callback_records.py"]
    environment = {"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (FOLDER / "cases.jsonl").open() as cases:
        done = subprocess.run(command, stdin=cases, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# The goldens' own version; the payloads of another have other fields.
@pytest.mark.parametrize("litellm_python", ["1.109.1"], indirect=True, scope="session")
@pytest.mark.parametrize("golden_name", NAMES)
def test_the_callbacks_record_leaves_what_litellm_leaves(
    worker_site: Site, callback_records: dict[str, list[Record]], golden_name: str
) -> None:
    sent = callback_records[golden_name]
    check(worker_site, golden_name, Shape.CALLBACK, sent, by_worker)
