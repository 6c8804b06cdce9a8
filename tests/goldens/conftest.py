"""The sites of the golden cases, which each case seeds anew."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from conftest import discard, litellm_interpreter, new_database
from harness.cluster import Cluster
from harness.database import Database

from .case import FOLDER, MADE_BY
from .runner import Way, by_caller, by_worker
from .shapes import Record, Shape, Source, records
from .site import Site


@pytest.fixture(scope="session")
def worker_database(cluster: Cluster) -> Iterator[Database]:
    """Where the worker folds."""
    database = new_database(cluster)
    yield database
    discard(database)


@pytest.fixture(scope="session")
def worker_site(worker_database: Database) -> Site:
    return Site(worker_database, worker_database)


@pytest.fixture(scope="module")
def older_site(request: pytest.FixtureRequest, cluster: Cluster, worker_database: Database) -> Iterator[Site]:
    """Where the worker folds into an older schema."""
    database = new_database(cluster, schema=request.param)
    yield Site(database, worker_database)
    discard(database)


@pytest.fixture(scope="session")
def caller_site() -> Iterator[Site]:
    """Where nobody folds but the caller: a server without the library preloaded has no worker."""
    with Cluster({"shared_preload_libraries": ""}) as cluster:
        database = new_database(cluster)
        yield Site(database, database)
        database.close()


@pytest.fixture(scope="session")
def callback_records() -> dict[str, list[Record]]:
    """What the callback makes of each request, by case."""
    command = [litellm_interpreter(MADE_BY), FOLDER / "callback_records.py"]
    environment = {"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (FOLDER / "cases.jsonl").open() as cases:
        done = subprocess.run(command, stdin=cases, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def source(callback_records: dict[str, list[Record]]) -> Source:
    """What a case's requests are sent as."""
    return lambda case, shape: callback_records[case.name] if shape is Shape.CALLBACK else records(case, shape)


@pytest.fixture(scope="session", params=["worker", "caller"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in which records are folded."""
    site = request.getfixturevalue(f"{request.param}_site")
    return Way(site, by_worker if request.param == "worker" else by_caller)
