"""The sites of the golden cases, which each case seeds anew; and the count of their verdicts."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator

import pytest

from conftest import discard, litellm_interpreter, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_schema import NEWEST, SCHEMAS, LiteLLMSchema

from .case import FOLDER
from .runner import Way, by_caller, by_worker
from .shapes import Record, Shape, Source, records
from .site import Site
from .verdicts import VERDICTS

# {version of LiteLLM's schema: {case: whether it failed}}
_failed = pytest.StashKey[dict[str, dict[str, bool]]]()


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
    # The goldens' own version; the payloads of another have other fields.
    command = [litellm_interpreter("1.109.1"), FOLDER / "callback_records.py"]
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


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_failed] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = (yield).get_result()
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    name = parameters.get("golden_name")
    if name and (report.when == "call" or report.failed):
        schema: LiteLLMSchema = parameters.get("older_site", NEWEST)
        failed = item.config.stash[_failed].setdefault(schema.litellm, {})
        failed[name] = failed.get(name, False) or report.failed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for schema in SCHEMAS:
        ran = config.stash[_failed].get(schema.litellm)
        if ran:
            _summarise(terminalreporter, schema.litellm, ran)


def _summarise(terminalreporter: pytest.TerminalReporter, version: str, ran: dict[str, bool]) -> None:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name, failed in ran.items():
        by_kind["FAILED" if failed else VERDICTS[name].kind].append(name)
    terminalreporter.section(f"golden cases, LiteLLM {version}'s schema")
    for kind, names in sorted(by_kind.items()):
        if version == NEWEST.litellm or kind == "FAILED":
            terminalreporter.write_line(f"{kind}: {', '.join(names)}")
    counts = ", ".join(f"{kind} {len(names)}" for kind, names in sorted(by_kind.items()))
    terminalreporter.write_line(f"goldens {version}: {len(ran)} of {len(VERDICTS)} cases ran: {counts}")
