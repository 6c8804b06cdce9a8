"""The sites of the golden cases, which each case seeds anew; and the count of their verdicts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from conftest import discard, litellm_interpreter, new_database, tell
from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_schema import NEWEST, SCHEMAS, LiteLLMSchema

from .case import FOLDER, NAMES
from .runner import Way, by_caller, by_worker
from .shapes import Record, Shape, Source, records
from .site import Site
from .verdicts import VERDICTS

# {version of LiteLLM's schema: {case: whether it failed}}
_failed = pytest.StashKey[dict[str, dict[str, bool]]]()
# Whether every test of the files that were named is run.
_whole = pytest.StashKey[bool]()
FILE_OF_NEWEST, FILE_OF_OLDER = "test_cases.py", "test_older_schemas.py"
FAILED, MISSING = "failed", "MISSING"


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
    config.stash[_whole] = not config.option.collectonly and not any("::" in arg for arg in config.args)


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        item.config.stash[_whole] = False


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = (yield).get_result()
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    name = parameters.get("golden_name")
    if name and (report.failed or (report.when == "call" and report.passed)):
        schema: LiteLLMSchema = parameters.get("older_site", NEWEST)
        failed = item.config.stash[_failed].setdefault(schema.litellm, {})
        failed[name] = failed.get(name, False) or report.failed


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Count the cases; where a file was run whole and one of its cases was not, the run has failed."""
    config, files = session.config, {item.path.name for item in session.items}
    for schema in SCHEMAS:
        ran = config.stash[_failed].get(schema.litellm, {})
        is_whole = config.stash[_whole] and (FILE_OF_NEWEST if schema is NEWEST else FILE_OF_OLDER) in files
        missing = [name for name in NAMES if name not in ran] if is_whole else []
        if missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if ran or missing:
            _summarise(config, schema, ran, missing)


def _summarise(config: pytest.Config, schema: LiteLLMSchema, ran: dict[str, bool], missing: list[str]) -> None:
    by_kind: dict[str, list[str]] = {kind: [] for kind in sorted({verdict.kind for verdict in VERDICTS.values()})}
    by_kind |= {FAILED: [], MISSING: missing}
    for name, failed in ran.items():
        by_kind[FAILED if failed else VERDICTS[name].kind].append(name)
    section = f"golden cases, LiteLLM {schema.litellm}'s schema"
    for kind, names in by_kind.items():
        if names and (schema is NEWEST or kind in (FAILED, MISSING)):
            tell(config, section, f"{kind}: {', '.join(names)}")
    counts = ", ".join(f"{kind} {len(names)}" for kind, names in by_kind.items() if names or kind != MISSING)
    tell(config, section, f"goldens {schema.litellm}: {len(ran)} of {len(NAMES)} cases ran: {counts}")
