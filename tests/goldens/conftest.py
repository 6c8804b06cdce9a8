"""The sites of the golden cases. Each case seeds its site again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import versions
from conftest import Interpreters, discard, new_database
from harness.cluster import Cluster
from harness.database import Database

from .case import FOLDER, MADE_BY
from .litellm_ledger import SCRIPT, LiteLLMLedger
from .runner import Way, by_caller, by_worker
from .shapes import Record, Shape, Source, records
from .site import Site


@pytest.fixture(scope="session")
def worker_database(cluster: Cluster) -> Iterator[Database]:
    """A site where the worker folds."""
    database = new_database(cluster)
    yield database
    discard(database)


@pytest.fixture(scope="session")
def worker_site(worker_database: Database) -> Site:
    return Site(worker_database, worker_database)


@pytest.fixture(scope="module")
def older_site(request: pytest.FixtureRequest, cluster: Cluster, worker_database: Database) -> Iterator[Site]:
    """A site where the worker folds into an older schema."""
    database = new_database(cluster, schema=request.param)
    yield Site(database, worker_database)
    discard(database)


@pytest.fixture(scope="session")
def caller_site() -> Iterator[Site]:
    """A site where only the caller folds, because a server without the library preloaded has no worker."""
    with Cluster({"shared_preload_libraries": ""}) as cluster:
        database = new_database(cluster)
        yield Site(database, database)
        database.close()


@pytest.fixture(scope="session")
def callback_records(interpreters: Interpreters) -> dict[str, list[Record]]:
    """The records that the callback makes of each request, by case."""
    with (FOLDER / "cases.jsonl").open() as cases:
        ran = interpreters(MADE_BY).run(FOLDER / "callback_records.py", url=None, stdin=cases)
    return json.loads(ran.stdout)


@pytest.fixture(scope="session")
def litellm_ledger(interpreters: Interpreters, caller_site: Site) -> Iterator[LiteLLMLedger]:
    """The ledger of the newest LiteLLM, in the database where only the caller folds."""
    with interpreters(versions.LITELLM[-1]).start(SCRIPT, url=caller_site.database.url) as program:
        yield LiteLLMLedger(program)


@pytest.fixture
def source(callback_records: dict[str, list[Record]]) -> Source:
    """The shape in which a case's requests are sent."""
    return lambda case, shape: callback_records[case.name] if shape is Shape.CALLBACK else records(case, shape)


@pytest.fixture(scope="session", params=["worker", "caller"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in which records are folded."""
    site = request.getfixturevalue(f"{request.param}_site")
    return Way(site, by_worker if request.param == "worker" else by_caller)
