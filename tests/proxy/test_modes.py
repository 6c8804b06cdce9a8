"""Each way of docs/cutover.md to a proxy beside SDK clients, as it is written there. The tests start LiteLLM's own
proxy, ask for its pages, and stop it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import Interpreters, discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.waiting import wait_for_value

from .conftest import MakeProxy
from .documented import CHANGE_OWNER, CREATE_VIEWS, MIGRATE
from .server import environment
from .shell import run
from .sites import Site
from .tables import add_proxy_template, add_what_is_missing


@pytest.fixture(scope="module")
def litellm_first(cluster: Cluster, version: str, make_proxy: MakeProxy, interpreters: Interpreters) -> Iterator[Site]:
    """A proxy that already had spend of its own when the extension was installed."""
    database = new_database(cluster, template=add_proxy_template(cluster, version), extension=False)
    with make_proxy(database) as proxy:
        site = Site(database, proxy, interpreters(version))
        site.chat(4)
        site.wait_told()
        database.execute("CREATE EXTENSION litellm_spend")
        database.execute("SELECT litellm_spend.create_tables()")
        yield site
    discard(database)


def test_litellm_first(litellm_first: Site) -> None:
    litellm_first.wait_told()
    litellm_first.call_sdk(3)
    litellm_first.wait_told()


def test_both_writers_beside_each_other(litellm_first: Site) -> None:
    with ThreadPoolExecutor() as threads:
        client = threads.submit(litellm_first.call_sdk, 20)
        litellm_first.chat(20)
        client.result()
    litellm_first.wait_told()


def test_a_request_that_both_writers_see_is_charged_twice(litellm_first: Site) -> None:
    database, proxy = litellm_first.database, litellm_first.proxy
    charged = """SELECT user_id, sum(api_requests)::int FROM "LiteLLM_DailyUserSpend" GROUP BY user_id"""
    logged = 'SELECT count(*) FROM "LiteLLM_SpendLogs"'
    litellm_first.chat(1)
    litellm_first.wait_told()
    requests, rows = dict(database.query(charged)), database.value(logged)
    # The callback cannot tell a proxy that is called this way from a provider.
    through_the_proxy = {"model": "openai/cheap", "api_base": f"{proxy.url}/v1", "api_key": litellm_first.key}
    litellm_first.call_sdk(2, **through_the_proxy, mock_response=None)
    twice = {user: requests.get(user, 0) + 2 for user in (litellm_first.proxys_user, litellm_first.sdks_user)}
    wait_for_value(lambda: dict(database.query(charged)), twice, deadline=60)
    proxy.stop()
    assert dict(database.query(charged)) == twice
    # The log has one row, unless the proxy's row came first: the other row then has its call id in its id.
    assert 2 <= database.value(logged) - rows <= 4


@pytest.fixture
def proxys_url(empty_database: Database) -> Iterator[str]:
    """`empty_database` for the role litellm_proxy, which exists during the test."""
    cluster = empty_database.cluster
    cluster.execute("CREATE ROLE litellm_proxy LOGIN PASSWORD 'secret'")
    yield f"postgresql://litellm_proxy:secret@127.0.0.1:{cluster.port}/{empty_database.name}"
    for statement in ("REASSIGN OWNED BY litellm_proxy TO postgres", "DROP OWNED BY litellm_proxy"):
        empty_database.execute(statement)
    cluster.execute("DROP ROLE litellm_proxy")


def test_the_extension_first(
    empty_database: Database,
    proxys_url: str,
    version: str,
    make_proxy: MakeProxy,
    interpreters: Interpreters,
    tmp_path: Path,
) -> None:
    empty_database.execute("CREATE EXTENSION litellm_spend")
    empty_database.execute("SELECT litellm_spend.create_tables()")
    proxy = make_proxy(empty_database, DATABASE_URL=proxys_url, DISABLE_SCHEMA_UPDATE="False")
    site = Site(empty_database, proxy, interpreters(version))
    site.call_sdk(3)
    empty_database.wait_folded()
    assert run(MIGRATE, empty_database, tmp_path) == "ready for the proxy\n"
    with empty_database.connect() as connection:
        add_what_is_missing(connection, version)
    run(CHANGE_OWNER, empty_database, tmp_path)
    with proxy, ThreadPoolExecutor() as threads:
        # A proxy creates its views only while the log is empty.
        assert proxy.ask("GET", "/global/spend").status == 500
        views = threads.submit(run, CREATE_VIEWS, empty_database, tmp_path, environment(version, proxys_url))
        site.chat(4)
        site.call_sdk(3)
        views.result()
        site.wait_told()
        site.stop()
