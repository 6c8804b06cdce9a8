"""Fixtures of the tests that run a real LiteLLM proxy: a database with all of its tables, and the proxies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import versions
from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database

from .documented import ONE_WRITER
from .server import Proxy
from .tables import add_proxy_template

# Creates a proxy of the test's version on a database, with options of `Proxy`.
MakeProxy = Callable[..., Proxy]


@pytest.fixture(scope="module", params=versions.LITELLM_PROXY, ids=lambda version: f"litellm-{version}")
def version(request: pytest.FixtureRequest) -> str:
    """The version of the LiteLLM whose proxy runs."""
    return request.param


@pytest.fixture(scope="module")
def proxy_database(cluster: Cluster, version: str) -> Iterator[Database]:
    """A database as this LiteLLM's migrations create it, with the extension, for all tests of a file."""
    database = new_database(cluster, template=add_proxy_template(cluster, version))
    yield database
    discard(database)


@pytest.fixture(scope="module")
def make_proxy(version: str, tmp_path_factory: pytest.TempPathFactory) -> MakeProxy:
    def make(database: Database, **options: object) -> Proxy:
        return Proxy(version, database.url, tmp_path_factory.mktemp("proxy"), **options)

    return make


@pytest.fixture(scope="module")
def one_writer(proxy_database: Database, make_proxy: MakeProxy) -> Iterator[Proxy]:
    """A running proxy that records through the callback alone, set up as docs/cutover.md says."""
    with make_proxy(proxy_database, **ONE_WRITER) as proxy:
        yield proxy
