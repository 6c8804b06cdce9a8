"""How long after a budget is used up a proxy refuses, with LiteLLM's own writer and with the callback."""

from __future__ import annotations

import statistics
import time

import pytest

from conftest import Tell
from harness.database import Database

from .conftest import MakeProxy
from .documented import ONE_WRITER
from .server import Proxy
from .spenders import KINDS, spender, with_proxy_budget

WRITERS = {"LiteLLM's own": {}, "the callback": ONE_WRITER}
ROUNDS = 3
GIVE_UP = 90.0


def seconds_until_refused(proxy: Proxy, budget_of: str) -> float:
    """The seconds from the answer to the first request, which leaves no budget for another, to the first refusal."""
    key, body = spender(proxy, budget_of)
    model = "ruinous" if budget_of == "proxy" else "dear"
    assert proxy.chat(key, model, **body).status == 200
    since = time.monotonic()
    while (passed := time.monotonic() - since) < GIVE_UP:
        answer = proxy.chat(key, model, **body)
        if answer.status != 200:
            assert "budget" in answer.text.lower(), answer
            return time.monotonic() - since
        time.sleep(0.05)
    raise AssertionError(f"after {passed:.0f} s the proxy still accepts what the {budget_of} cannot afford")


@pytest.mark.stress
@pytest.mark.parametrize("writer", WRITERS)
def test_both_writers_make_a_proxy_refuse(
    proxy_database: Database, make_proxy: MakeProxy, version: str, writer: str, tell: Tell
) -> None:
    with make_proxy(proxy_database, **with_proxy_budget(WRITERS[writer])) as proxy:
        for budget_of in [*KINDS, "proxy"]:
            # The proxy has one budget, which can be used up once.
            rounds = 1 if budget_of == "proxy" else ROUNDS
            seconds = [seconds_until_refused(proxy, budget_of) for _ in range(rounds)]
            tell("budget refusals", f"{version}, {writer}: {budget_of} {statistics.median(seconds):.2f} s")
