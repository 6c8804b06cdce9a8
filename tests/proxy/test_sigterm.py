"""SIGTERM, as `docker stop` sends it: the calls that a proxy captured before are counted, and it ends as without
the callback."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from harness.database import Database

from .conftest import MakeProxy
from .documented import ONE_WRITER

REQUESTS = 200
# This is longer than the proxy lives, so it sends nothing before it is told to end.
LAZY = "SpendLogger(flush_interval=600, "


def test_what_was_captured_before_is_counted(proxy_database: Database, make_proxy: MakeProxy) -> None:
    modules = {name: code.replace("SpendLogger(", LAZY) for name, code in ONE_WRITER["modules"].items()}
    assert modules != ONE_WRITER["modules"]
    with make_proxy(proxy_database, **{**ONE_WRITER, "modules": modules}) as proxy:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: proxy.chat(), range(REQUESTS)))
        assert [answer.status for answer in answers] == [200] * REQUESTS
        assert proxy_database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 0
        exit_code = proxy.stop()
    proxy_database.wait_folded()
    assert proxy_database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == REQUESTS
    assert exit_code == -signal.SIGTERM
    assert "lost" not in proxy.log()
