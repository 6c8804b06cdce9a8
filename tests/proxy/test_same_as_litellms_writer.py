"""A proxy that records through the callback leaves the rows, and shows the pages, of one that writes itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from conftest import Tell, discard, new_database
from harness.cluster import Cluster
from harness.litellm_tables import LOGS
from harness.projector import VERSION as LEDGER_VERSION

from . import traffic
from .comparing import MISSING, Named, differences, differences_of_pages, plain, tables_of, unexplained
from .conftest import MakeProxy
from .tables import add_proxy_template
from .writers import Written, both_writers

Both = tuple[Written, Written]
LOG_METADATA = f"{LOGS}.metadata"
NAMED = (
    Named(f"{LOG_METADATA}.billed_retry_attempt", "false is left out", own=False, callback=MISSING),
    Named(f"{LOG_METADATA}.litellm_roi_estimator", "false is left out", own=False, callback=MISSING),
    Named(f"{LOG_METADATA}.model_map_information.model_map_value*", "it has up to 10 kB", callback=MISSING),
    Named(f"{LOG_METADATA}.error_information.error_message", "it may quote the prompt", callback=MISSING),
    Named(f"{LOG_METADATA}.error_information.traceback", "it may quote the prompt", callback=MISSING),
    Named(f"{LOG_METADATA}.guardrail_information", "it may quote the prompt", callback=MISSING),
    Named(f"{LOG_METADATA}.additional_usage_values.*", "LiteLLM's row has a chat's alone", "responses*", MISSING, 0.0),
    Named(f"{LOG_METADATA}.additional_usage_values.*", "LiteLLM's row has a chat's alone", "image", MISSING, 1.0),
    # Where a request names a guardrail, LiteLLM builds the row from half of its metadata.
    *(
        Named(f"{LOGS}.{column}", "LiteLLM's row lacks what it knows", "chat-guarded", own=None)
        for column in (
            "metadata.attempted_fallbacks",
            "metadata.original_model_group",
            "metadata.requester_ip_address",
            "metadata.user_agent",
            "requester_ip_address",
        )
    ),
    Named("LiteLLM_TagTable", "litellm_spend.create_missing", own=MISSING),
    Named("LiteLLM_ToolTable", "no part of a spend record", callback=MISSING),
    Named("LiteLLM_DailyGuardrailMetrics", "no part of a spend record", callback=MISSING),
    Named("LiteLLM_SpendLogGuardrailIndex", "no part of a spend record", callback=MISSING),
    Named("LiteLLM_SpendLogDelivery", "LiteLLM's own ledger", callback=MISSING, version=LEDGER_VERSION),
)
"""The differences between the rows of both writers, for each version of LiteLLM."""
PERIOD = {
    "page_size": "1000",
    "start_date": (date.today() - timedelta(2)).isoformat(),
    "end_date": (date.today() + timedelta(2)).isoformat(),
}
TIMES = {"start_date": f"{PERIOD['start_date']} 00:00:00", "end_date": f"{PERIOD['end_date']} 00:00:00"}
PAGES: dict[str, dict[str, str]] = {
    "/user/daily/activity": PERIOD,
    "/user/daily/activity/aggregated": PERIOD,
    "/team/daily/activity": PERIOD | {"team_ids": "team"},
    "/tag/daily/activity": PERIOD,
    "/customer/daily/activity": PERIOD,
    "/agent/daily/activity": PERIOD,
    "/spend/logs": PERIOD,
    "/spend/logs/ui": TIMES | {"page": "1", "page_size": "100"},
    "/spend/logs/v2": TIMES | {"page": "1", "page_size": "100"},
    "/spend/keys": {},
    "/spend/users": {},
    "/spend/tags": PERIOD,
    "/global/spend": {},
    "/global/spend/logs": {},
    "/global/spend/keys": {"limit": "50"},
    "/global/spend/models": {"limit": "50"},
    "/global/spend/teams": {},
    "/global/spend/provider": PERIOD,
    "/global/spend/tags": PERIOD,
    "/global/activity": PERIOD,
    "/global/activity/model": PERIOD,
    "/user/info": {"user_id": "alice"},
    "/team/info": {"team_id": "team"},
    "/key/list": {"return_full_object": "true", "size": "50"},
    "/tag/list": {},
}
"""The endpoints that the UI asks, with parameters."""
NAMED_OF_PAGES = (
    Named("/spend/logs/*: .data[[][]].requester_ip_address", "as in the row of chat-guarded"),
    Named("/tag/list: [[][]].*", "tags that have a row, by litellm_spend.create_missing"),
)


@pytest.fixture(scope="module")
def both(cluster: Cluster, version: str, make_proxy: MakeProxy) -> Iterator[Both]:
    template = add_proxy_template(cluster, version)
    databases = new_database(cluster, template=template), new_database(cluster, template=template)
    with both_writers(databases, make_proxy) as written:
        yield written
    for database in databases:
        discard(database)


def test_the_clients_get_the_same_answers(both: Both) -> None:
    own, callback = both
    assert own.statuses == callback.statuses
    assert {name for name, status in own.statuses.items() if status != 200} == {
        request.name
        for request in (*traffic.FAILURES, *traffic.IN_ORDER)
        if request.name.startswith("fails") and request.name != "fails-cut-stream"
    }


def test_all_tables_have_the_same_rows(both: Both, version: str, tell: Tell) -> None:
    own, callback = (tables_of(each.database, each.address) for each in both)
    found = differences(own, callback)
    rows, places = sum(map(len, own.values())), {each.place for each in found}
    tell("both writers", f"LiteLLM {version}: {rows} rows of {len(own)} tables compared, {len(places)} columns differ")
    assert unexplained(found, NAMED, version) == []


@pytest.mark.parametrize("writer", (0, 1), ids=("own", "callback"))
def test_a_failure_lasts_as_long_as_all_its_attempts(both: Both, writer: int) -> None:
    lasted = both[writer].database.value(
        """SELECT request_duration_ms FROM "LiteLLM_SpendLogs" WHERE litellm_call_id = 'fails-500'"""
    )
    assert lasted >= 2 * traffic.FAILS_AFTER * 1000


def test_the_uis_pages_show_the_same(both: Both, version: str) -> None:
    own, callback = ({page: shown(each, page, parameters) for page, parameters in PAGES.items()} for each in both)
    assert all(own.values()), [page for page, value in own.items() if not value]
    found = differences_of_pages(own, callback)
    assert unexplained(found, NAMED_OF_PAGES, version) == []


def shown(writer: Written, page: str, parameters: dict[str, str]) -> Any:
    """The page without the log rows' metadata, which are compared as rows."""
    return without_metadata(plain(writer.proxy.get(page, **parameters), writer.address))


def without_metadata(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = {"metadata"} if "request_id" in value else set()
        return {name: without_metadata(member) for name, member in value.items() if name not in left_out}
    return [without_metadata(item) for item in value] if isinstance(value, list) else value
