"""Rules that came with LiteLLM's ledger, at their bounds: LiteLLM's projector and the fold charge the same request."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.litellm_tables import DAILY, LOGS

from .case import raw, read
from .expected import stored_id
from .litellm_ledger import LiteLLMLedger
from .runner import by_caller, record_and_fold
from .shapes import Shape, records
from .site import Site
from .state import State, differences

SHAPE = Shape.STANDARD_LOGGING
# The most that the ledger adds to a counter at once, and the longest text of a key, in bytes.
MOST, LONGEST = 2**40, 2000
TAGS = "LiteLLM_DailyTagSpend"
# Changes a request of a case in the form of cases.jsonl.
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def site(caller_site: Site) -> Iterator[Site]:
    """A site where the fold creates no more than LiteLLM does."""
    caller_site.database.execute("SET litellm_spend.create_missing = 'end_user'")
    yield caller_site
    caller_site.database.execute("RESET litellm_spend.create_missing")


def both(site: Site, litellm_ledger: LiteLLMLedger, change: Change, *, seed: str = "") -> tuple[State, State]:
    """What the ledger and the fold write for a changed request that has every identity."""
    case = raw("basic_full_identity")
    [request] = case["requests"]
    tag(request, "tag1")
    change(request)
    case["extra_seed"] = seed
    return both_of(site, litellm_ledger, case)


def both_of(site: Site, litellm_ledger: LiteLLMLedger, case: dict[str, Any]) -> tuple[State, State]:
    site.seed(read(case))
    litellm_ledger.charge(case)
    charged = site.read()
    site.seed(read(case))
    record_and_fold(site.database, read(case), records(read(case), SHAPE), by_caller)
    return charged, site.read()


def tag(request: dict[str, Any], *tags: Any) -> None:
    request["kwargs_subset"]["litellm_params"]["metadata"]["tags"] = list(tags)
    request["standard_logging_object"]["request_tags"] = list(tags)


def daily_and_entities(state: State) -> State:
    return {table: rows for table, rows in state.items() if table != LOGS}


def without_row(state: State, table: str, entity: str) -> State:
    return {**state, table: {key: row for key, row in state[table].items() if key[0] != entity}}


def entities_of(state: State, table: str) -> set[Any]:
    return {key[0] for key in state[table]}


@pytest.mark.parametrize("tokens", [MOST, MOST + 1, 2**50])
def test_a_counter_is_capped_as_the_ledger_caps_it(site: Site, litellm_ledger: LiteLLMLedger, tokens: int) -> None:
    def change(request: dict[str, Any]) -> None:
        payload = request["standard_logging_object"]
        usage = {"prompt_tokens": tokens, "completion_tokens": -tokens, "total_tokens": 0}
        payload |= usage
        payload["response"]["usage"] |= usage
        payload["metadata"]["usage_object"] |= usage

    charged, folded = both(site, litellm_ledger, change)
    assert differences(daily_and_entities(charged), daily_and_entities(folded)) == []
    [row] = folded["LiteLLM_DailyUserSpend"].values()
    assert (row["prompt_tokens"], row["completion_tokens"]) == (MOST, -MOST)


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1])
def test_a_tag_that_the_ledger_leaves_out_is_charged_under_its_cut_name(
    site: Site, litellm_ledger: LiteLLMLedger, length: int
) -> None:
    long = "x" * length
    charged, folded = both(site, litellm_ledger, lambda request: tag(request, long, "tag1"))
    assert entities_of(charged, TAGS) == ({long, "tag1"} if length <= LONGEST else {"tag1"})
    assert entities_of(folded, TAGS) == {stored_id(long), "tag1"}
    others = [
        without_row(daily_and_entities(charged), TAGS, long),
        without_row(daily_and_entities(folded), TAGS, stored_id(long)),
    ]
    assert differences(*others) == []


def test_a_request_whose_model_is_too_long_for_the_ledger_is_in_every_daily_table(
    site: Site, litellm_ledger: LiteLLMLedger
) -> None:
    """The ledger charges only the entities, because each daily row has the model in its key."""

    def change(request: dict[str, Any]) -> None:
        request["standard_logging_object"]["model"] = request["kwargs_subset"]["model"] = "m" * (LONGEST + 1)

    charged, folded = both(site, litellm_ledger, change)
    assert [table for table in DAILY if charged[table]] == []
    assert [table for table in DAILY if folded[table]] == list(DAILY)
    keys = [state["LiteLLM_VerificationToken"] for state in (charged, folded)]
    assert keys[0] == keys[1]


def test_an_empty_tag_has_a_daily_row_and_is_charged_to_no_tag(site: Site, litellm_ledger: LiteLLMLedger) -> None:
    seed = """INSERT INTO "LiteLLM_TagTable" (tag_name) VALUES ('');"""
    charged, folded = both(site, litellm_ledger, lambda request: tag(request, "", "tag1"), seed=seed)
    assert entities_of(charged, TAGS) == {"", "tag1"}
    assert charged["LiteLLM_TagTable"]["",]["spend"] == 0
    assert differences(daily_and_entities(charged), daily_and_entities(folded)) == []


@pytest.mark.parametrize("organization", [None, "org1", "nobody's"])
def test_the_daily_organization_is_the_one_that_is_charged(
    site: Site, litellm_ledger: LiteLLMLedger, organization: str | None
) -> None:
    def change(request: dict[str, Any]) -> None:
        for metadata in (
            request["kwargs_subset"]["litellm_params"]["metadata"],
            request["standard_logging_object"]["metadata"],
        ):
            metadata["user_api_key_org_id"] = organization
            if organization is None:
                # Otherwise the fold would charge the team's organization, which LiteLLM's log-in fills in.
                metadata["user_api_key_team_id"] = None
        for row in request["spend_log_payloads"]:
            row["organization_id"] = organization or ""
            if organization is None:
                row["team_id"] = ""

    charged, folded = both(site, litellm_ledger, change)
    assert entities_of(charged, "LiteLLM_DailyOrganizationSpend") == ({organization} if organization else set())
    assert differences(daily_and_entities(charged), daily_and_entities(folded)) == []


def polls(*costs: float) -> dict[str, Any]:
    """Polls of one finished batch that report these costs. Each poll is a call of its own."""
    case = raw("basic_full_identity")
    [request] = case["requests"]
    tag(request, "tag1")
    case["requests"] = [copy.deepcopy(request) for _ in costs]
    for number, (poll, cost) in enumerate(zip(case["requests"], costs, strict=True)):
        for told in (poll["standard_logging_object"], poll["kwargs_subset"]):
            told |= {"call_type": "aretrieve_batch", "litellm_call_id": f"poll-{number}", "response_cost": cost}
        poll["standard_logging_object"] |= {"id": "batch"}
        poll["standard_logging_object"]["response"] |= {"id": "batch"}
    return case


@pytest.mark.parametrize("costs", [(0.5, 0.5, 0.5), (0.0, 0.5, 0.0, 0.5), (0.0, 0.0)])
def test_a_batch_is_charged_once_and_a_poll_that_costs_nothing_not_at_all(
    site: Site, litellm_ledger: LiteLLMLedger, costs: tuple[float, ...]
) -> None:
    charged, folded = both_of(site, litellm_ledger, polls(*costs))
    assert charged[LOGS].keys() == folded[LOGS].keys() == ({("batch_batch_cost",)} if any(costs) else set())
    assert differences(daily_and_entities(charged), daily_and_entities(folded)) == []


@pytest.mark.parametrize("logged", ["on", "off"])
def test_a_cost_counts_once_after_a_poll_that_told_none(site: Site, logged: str) -> None:
    """The log remembers the requests of earlier folds; where it is off, the ledger of hashes does."""
    case = polls(0.0, 0.5, 0.0, 0.5)
    site.seed(read(case))
    site.database.execute(f"SET litellm_spend.write_spend_logs = {logged}")
    for record in records(read(case), SHAPE):
        site.database.record([record])
        by_caller(site.database, 1)
    site.database.execute("RESET litellm_spend.write_spend_logs")
    [row] = site.read()["LiteLLM_DailyUserSpend"].values()
    assert (row["spend"], row["api_requests"]) == (0.5, 1)
