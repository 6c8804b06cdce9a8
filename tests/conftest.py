"""Fixtures of every out-of-process test: a server, databases on it, LiteLLM interpreters, and what a run reports at
its end."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import versions
from harness import scratch
from harness.cluster import Cluster
from harness.database import Database
from harness.interpreter import Interpreter
from harness.litellm_schema import NEWEST, LiteLLMSchema, add_litellm_template
from harness.postgres import PROJECT, make_tool
from harness.projector import VERSION as LEDGER_VERSION
from harness.projector import Ledger, ledger
from harness.template import LITELLM, OWN_SCHEMA
from harness.waiting import interrupt_on_sigterm

_numbers = itertools.count(1)
# goldens.count is a plugin and no conftest.py: with pytest -n the process that sums up collects no tests, so it reads
# no conftest.py but this one.
pytest_plugins = ["goldens.count", "harness.distribution"]
# {section: its lines}
_told = pytest.StashKey[dict[str, list[str]]]()
# It is called with a section of the run's summary and lines for it.
Tell = Callable[..., None]
# Gives the interpreter of a version of LiteLLM.
Interpreters = Callable[[str], Interpreter]


def pytest_configure(config: pytest.Config) -> None:
    # A terminated run must stop its servers as an interrupted one does.
    interrupt_on_sigterm()
    Cluster.copies_template = True
    # The long forms of tests write many gigabytes.
    if config.option.markexpr != "stress":
        scratch.prefer_memory()
    config.stash[_told] = {}


def tell(config: pytest.Config, section: str, *lines: object) -> None:
    """Show the lines at the end of the run, whatever its verdict."""
    config.stash[_told].setdefault(section, []).extend(map(str, lines))


@pytest.fixture(name="tell", scope="session")
def tell_fixture(pytestconfig: pytest.Config) -> Tell:
    return functools.partial(tell, pytestconfig)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if is_worker(session.config):
        session.config.workeroutput["told"] = session.config.stash[_told]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of a distributed run has ended: this process takes over its lines."""
    for section, lines in getattr(node, "workeroutput", {}).get("told", {}).items():
        tell(node.config, section, *lines)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs a part of a distributed run, which another process sums up."""
    return hasattr(config, "workeroutput")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for section, lines in config.stash[_told].items():
        terminalreporter.section(section)
        for line in lines:
            terminalreporter.write_line(line)


def new_database(
    cluster: Cluster, *, schema: LiteLLMSchema = NEWEST, template: str | None = None, extension: bool = True
) -> Database:
    """A database with LiteLLM's migrated schema of this version, or a copy of `template`."""
    if extension and template is None and schema is NEWEST and LITELLM in cluster.templates:
        return copy_with_extension(cluster, LITELLM)
    database = Database(cluster, f"test_{next(_numbers)}")
    cluster.create_database(database.name, template=template or add_litellm_template(cluster, schema))
    if extension:
        database.execute("CREATE EXTENSION litellm_spend")
    return database


def copy_with_extension(cluster: Cluster, template: str) -> Database:
    """A copy of a database in which nothing but CREATE EXTENSION has happened."""
    database = Database(cluster, f"test_{next(_numbers)}")
    cluster.create_database(database.name, template=template)
    # CREATE EXTENSION does this last, and it writes nothing into the database.
    database.query("SELECT litellm_spend.start_worker()")
    return database


def own_schema_database(cluster: Cluster) -> Database:
    """A database whose tables the extension created: fewer than LiteLLM's migrations create, and in less time."""
    if OWN_SCHEMA in cluster.templates:
        return copy_with_extension(cluster, OWN_SCHEMA)
    database = new_database(cluster, template="template1")
    database.query("SELECT * FROM litellm_spend.create_tables()")
    return database


def discard(database: Database) -> None:
    database.close()
    database.cluster.drop_database(database.name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running server with the library preloaded, shared by the tests that do not stop it."""
    with Cluster() as cluster:
        yield cluster
        assert cluster.crashes() == []


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A running preloaded server for one test alone, which may stop, kill or change it."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def unloaded_cluster() -> Iterator[Cluster]:
    """A running server without the shared_preload_libraries line."""
    with Cluster({"shared_preload_libraries": ""}) as cluster:
        yield cluster


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A fresh database with LiteLLM's migrated schema and the extension."""
    database = new_database(cluster)
    yield database
    discard(database)


@pytest.fixture(scope="module")
def shared_database(cluster: Cluster) -> Iterator[Database]:
    """A database with LiteLLM's schema and the extension for all tests of a file. Each test uses its own ids."""
    database = new_database(cluster)
    yield database
    discard(database)


@pytest.fixture
def other_database(cluster: Cluster) -> Iterator[Database]:
    """A second fresh database beside `database`."""
    database = new_database(cluster)
    yield database
    discard(database)


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[Database]:
    """A fresh database with nothing in it: no LiteLLM schema, no extension."""
    database = new_database(cluster, template="template1", extension=False)
    yield database
    discard(database)


@pytest.fixture(scope="session")
def interpreters(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Interpreters]:
    """Gives the interpreter of a LiteLLM. It lives to the end of the run, because tests of two versions alternate."""
    folder = tmp_path_factory.getbasetemp()
    # Where several processes run the tests, they share the folder of the whole run.
    folder = folder.parent if is_worker(pytestconfig) else folder
    with contextlib.ExitStack() as stack:
        yield functools.cache(
            lambda version: stack.enter_context(Interpreter(litellm_python(version), version, folder))
        )


@pytest.fixture(name="ledger")
def ledger_fixture(interpreters: Interpreters, database: Database) -> Iterator[Ledger]:
    """The ledger of a LiteLLM proxy on `database`."""
    with ledger(interpreters(LEDGER_VERSION), database) as of_litellm:
        yield of_litellm


@pytest.fixture(scope="session", params=versions.LITELLM, ids=lambda version: f"litellm-{version}")
def interpreter(request: pytest.FixtureRequest, interpreters: Interpreters) -> Interpreter:
    """Runs programs with one version of LiteLLM and the callback of python/."""
    return interpreters(request.param)


def litellm_python(version: str) -> Path:
    """The Python of this LiteLLM's environment, which is created at first use."""
    name = f"litellm-{version}"
    make_tool(name)
    return PROJECT / ".build" / f"venv-{name}" / "bin" / "python"
