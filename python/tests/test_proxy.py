"""What the callback records in a LiteLLM proxy: who is charged, and how a failed request is recorded."""

from __future__ import annotations

import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._intake.seen import Seen
from litellm_spend._proxy import proxy
from litellm_spend._proxy.both_writers import BothWriters
from litellm_spend._proxy.failures import failure_events
from litellm_spend._record.capture import spend_record

KEY = "30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167"
AUTH = SimpleNamespace(api_key=KEY, key_alias="k", user_id="alice", team_id=None, request_route="/chat/completions")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The parts of LiteLLM's proxy_server that the callback reads. Its own writer is off."""
    server = SimpleNamespace(general_settings={"disable_spend_updates": True}, llm_router=None)
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", server)
    monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(max_budget=100.0, cache=None))
    return server


def success(**changes: Any) -> dict[str, Any]:
    payload = {"id": "r", "response_cost": 1.0, "startTime": 1.0, "metadata": changes.pop("metadata", {})}
    return {"standard_logging_object": payload, "litellm_call_id": "c", **changes}


def failed(error: BaseException | None = None, **request: Any) -> list[dict[str, Any]]:
    """The records of a failed request."""
    given = {"litellm_call_id": "c", "model": "gpt-4o", "start_time": datetime.fromtimestamp(1.0), **request}
    records = map(spend_record, failure_events(given, error or ValueError("no"), AUTH))
    return [record for record in records if record is not None]


def test_the_proxys_budget_is_charged_where_its_own_writer_is_off(server: SimpleNamespace) -> None:
    record = spend_record(success())
    assert record and record["proxy_budget_name"] == "litellm-proxy-budget"
    server.general_settings = {}
    record = spend_record(success())
    assert record and "proxy_budget_name" not in record


def test_a_proxy_without_a_budget_and_an_application_charge_none(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["litellm"], "max_budget", 0.0)
    assert proxy.budget_name() is None
    monkeypatch.setattr(sys.modules["litellm"], "max_budget", 100.0)
    monkeypatch.delitem(sys.modules, "litellm.proxy.proxy_server")
    assert proxy.budget_name() is None


@pytest.mark.usefixtures("server")
def test_nobody_is_charged_because_a_request_to_the_proxy_names_him() -> None:
    claimed = {"team_id": "claimed", "user_api_key_user_id": None}
    of_key = {"metadata": {"user_api_key": KEY, "project_id": "claimed"}}
    record = spend_record(success(user="claimed", metadata=claimed, litellm_params=of_key))
    assert record and "claimed" not in [*record.values(), *record["metadata"].values()]


@pytest.mark.usefixtures("server")
def test_a_request_is_recorded_whatever_provider_its_body_names() -> None:
    of_key = {"metadata": {"user_api_key": KEY}}
    event = success(litellm_params=of_key)
    event["standard_logging_object"]["custom_llm_provider"] = "litellm_proxy"
    record = spend_record(event)
    assert record and record["response_cost"] == 1.0
    assert len(failed(custom_llm_provider="litellm_proxy")) == 1


@pytest.mark.usefixtures("server")
def test_a_call_to_another_proxy_that_a_proxys_hook_makes_on_its_own_is_left_to_that_one() -> None:
    event = success()
    event["standard_logging_object"]["custom_llm_provider"] = "litellm_proxy"
    assert spend_record(event) is None


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("end", ["_batch_cost", "_background_cost", "_video_cost", "_guardrail_cost", "_attempt1.5"])
def test_a_call_id_that_a_client_chose_is_no_id_of_a_cost(end: str) -> None:
    of_key = {"metadata": {"user_api_key": KEY}}
    chosen = f"mine{end}"
    for call_id in (chosen, f"{chosen}\0"):
        for payload in ({"id": call_id}, {"id": "a failure's", "status": "failure"}):
            event = success(litellm_call_id=call_id, litellm_params=of_key)
            event["standard_logging_object"].update(payload)
            record = spend_record(event)
            assert record and record["id"] == record["litellm_call_id"] == f"{call_id}#call"


@pytest.mark.usefixtures("server")
def test_any_other_id_stays() -> None:
    of_key = {"metadata": {"user_api_key": KEY}}
    for name in ("r", "c_attempt", "batch_cost"):
        event = success(litellm_call_id=name, litellm_params=of_key)
        event["standard_logging_object"].update(id=name, litellm_call_id=name)
        record = spend_record(event)
        assert record and record["id"] == record["litellm_call_id"] == name


def test_an_event_of_the_proxy_is_told_by_the_request_that_it_serves(server: SimpleNamespace) -> None:
    asked = {"litellm_params": {"proxy_server_request": {"url": "http://proxy"}}}
    assert proxy.is_proxy_request(asked) and proxy.is_proxy_request({"litellm_no_upstream_llm_call": True})
    assert not proxy.is_proxy_request({"litellm_params": {"proxy_server_request": None}})


def test_an_application_has_no_events_of_a_proxy() -> None:
    assert not proxy.is_proxy_request({"litellm_params": {"proxy_server_request": {"url": "http://proxy"}}})


@pytest.mark.usefixtures("server")
def test_a_failed_request_is_one_record_of_the_key_that_the_proxy_found() -> None:
    forged = {"user_api_key_user_id": "bob", "user_api_key_end_user_id": "eve", "user_api_key": "sk-other"}
    [record] = failed(metadata={**forged, "spend_logs_metadata": {"by": "body"}})
    metadata = record["metadata"]
    assert (record["status"], record["litellm_call_id"], record["startTime"]) == ("failure", "c", 1.0)
    assert (record["api_key"], metadata["user_api_key_user_id"]) == (KEY, "alice")
    assert "user_api_key_end_user_id" not in metadata
    assert metadata["spend_logs_metadata"] == {"by": "body"}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("call_id", [{"a": 1}, ["c"], None, 5])
def test_a_failed_request_is_recorded_whatever_its_body_says_is_its_id(call_id: Any) -> None:
    [event] = failure_events({"litellm_call_id": call_id}, ValueError("no"), AUTH)
    assert Seen().is_new(event["standard_logging_object"], event)
    assert type(event["litellm_call_id"]) is str and event["litellm_call_id"]


@pytest.mark.usefixtures("server")
def test_a_failed_request_costs_nothing_because_its_body_says_so() -> None:
    attempts = [{"deployment_id": "d", "response_cost": 5.0, "attempted_retries": 0, "usage": {}}]
    [record] = failed(response_cost=5.0, combined_usage_object={"total_tokens": 9}, billed_failed_attempts=attempts)
    assert record["response_cost"] == 0.0 and "total_tokens" not in record


@pytest.mark.usefixtures("server")
def test_each_attempt_that_the_provider_billed_is_a_record() -> None:
    usage = SimpleNamespace(prompt_tokens=20, completion_tokens=0, total_tokens=20)
    attempt = SimpleNamespace(deployment_id="d", response_cost=0.25, attempted_retries=0, usage=usage)
    last, earlier = failed(
        response_cost=0.5,
        combined_usage_object=usage,
        billed_failed_attempts=(attempt,),
        metadata={"attempted_retries": 1},
    )
    assert (last["response_cost"], last["total_tokens"], last["metadata"]["attempted_retries"]) == (0.5, 20, 1)
    assert "billed_retry_attempt" not in last["metadata"]
    assert (earlier["litellm_call_id"], earlier["response_cost"], earlier["model_id"]) == ("c-attempt-0", 0.25, "d")
    assert (earlier["metadata"]["attempted_retries"], earlier["metadata"]["billed_retry_attempt"]) == (0, True)


@pytest.mark.usefixtures("server")
def test_what_the_proxy_does_not_know_as_a_model_is_not_logged_as_one() -> None:
    class ProxyModelNotFoundError(Exception):
        pass

    [record] = failed(ProxyModelNotFoundError(), model="what is the weather")
    assert record["model"] == "unknown-model" and not record.get("model_group")


def test_a_request_that_the_proxy_refused_is_left_out_where_it_is_told_so(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = SimpleNamespace(is_pre_routing_rejection=lambda error, request: request["model"] == "refused")
    monkeypatch.setitem(sys.modules, "litellm.proxy.hooks.proxy_track_cost_callback", hooks)
    assert len(failed(model="refused")) == 1
    server.general_settings["disable_pre_routing_error_logs"] = True
    assert failed(model="refused") == [] and len(failed()) == 1


@pytest.mark.usefixtures("server")
def test_a_failed_request_to_the_management_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    class RouteChecks:
        is_llm_api_route = is_info_route = staticmethod(lambda route: route == "/models")

    monkeypatch.setitem(sys.modules, "litellm.proxy.auth.route_checks", SimpleNamespace(RouteChecks=RouteChecks))
    assert failed() == []
    monkeypatch.setattr(AUTH, "request_route", "/models")
    assert len(failed()) == 1


def test_one_warning_tells_that_the_proxy_records_the_same_requests_itself(
    server: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings_of(*events: dict[str, Any]) -> int:
        caplog.clear()
        both_writers = BothWriters()
        for event in events:
            both_writers.check(event)
        return caplog.text.count("charged twice")

    answered = {"litellm_params": {"proxy_server_request": {"url": "http://proxy"}}}
    of_a_hook = {"litellm_params": {"metadata": {}}}
    server.prisma_client = object()
    assert warnings_of(answered, answered) == 0
    server.general_settings = {}
    assert warnings_of(of_a_hook, answered, answered) == 1
    assert warnings_of(of_a_hook) == 0
    server.prisma_client = None
    assert warnings_of(answered) == 0
