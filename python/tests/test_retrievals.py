"""Background work is recorded when its cost is known, and all its retrievals have the same ids."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._record.capture import spend_record


def retrieval(call_id: str = "call-1", *, models: Any = None, **changes: Any) -> dict[str, Any]:
    payload = {
        "id": "batch_1",
        "litellm_call_id": call_id,
        "call_type": "aretrieve_batch",
        "status": "success",
        "response_cost": 0.25,
        "hidden_params": {"batch_models": models},
        **changes,
    }
    return {"standard_logging_object": payload, "litellm_call_id": call_id}


@pytest.mark.parametrize("call_type", ["aretrieve_batch", "retrieve_batch"])
def test_all_retrievals_of_a_finished_batch_have_the_ids_of_its_cost(call_type: str) -> None:
    done = SimpleNamespace(status="completed")
    for call_id in ("call-1", "call-2"):
        record = spend_record(retrieval(call_id, call_type=call_type), done)
        assert record and (record["id"], record["litellm_call_id"]) == ("batch_1_batch_cost", "batch_1_batch_cost")


def test_a_finished_batch_of_a_free_model_is_recorded() -> None:
    record = spend_record(retrieval(models=["own-model"], response_cost=0.0), SimpleNamespace(status="completed"))
    assert record and record["response_cost"] == 0.0


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling"])
def test_a_batch_that_is_not_finished_is_not_recorded_whatever_LiteLLM_makes_of_its_tokens(status: str) -> None:
    assert spend_record(retrieval(), SimpleNamespace(status=status)) is None
    assert spend_record(retrieval(response={"status": status})) is None


@pytest.mark.parametrize("models", [None, []])
def test_a_retrieval_that_LiteLLM_could_not_price_is_not_recorded(models: Any) -> None:
    assert spend_record(retrieval(models=models, response_cost=0.0), SimpleNamespace(status="completed")) is None


def test_a_retrieval_that_failed_is_a_failed_call_like_any_other() -> None:
    record = spend_record(retrieval(id="call-1", status="failure", response_cost=0.0))
    assert record and (record["id"], record["litellm_call_id"]) == ("call-1", "call-1")


READS = ["get_responses", "aget_responses", "cancel_responses", "acancel_responses"]
DONE = SimpleNamespace(status="completed", background=True)


def response_id(deployment: str = "None", own: str = "resp_1") -> str:
    """The id that LiteLLM creates from a provider's own id."""
    text = f"litellm:custom_llm_provider:openai;model_id:{deployment};response_id:{own}"
    return "resp_" + base64.b64encode(text.encode()).decode()


def ids(record: dict[str, Any] | None) -> tuple[str, str]:
    assert record
    return record["id"], record["litellm_call_id"]


@pytest.mark.parametrize("call_type", [*READS, "responses", "aresponses"])
@pytest.mark.parametrize("id_", [response_id(), response_id("deployment-1"), "resp_1"], ids=["direct", "Router", "own"])
def test_every_event_with_the_cost_of_a_background_response_has_the_same_ids(call_type: str, id_: str) -> None:
    cost = f"{response_id()}_background_cost"
    for call_id in ("call-1", "call-2"):
        event = retrieval(call_id, id=id_, call_type=call_type, custom_llm_provider="openai")
        assert ids(spend_record(event, DONE)) == (cost, cost)
        assert ids(spend_record(event, SimpleNamespace(response=DONE))) == (cost, cost), "the last event of a stream"


@pytest.mark.parametrize("id_", ["resp_6b", "resp_%%%", "resp_", "chatcmpl-1", None], ids=str)
def test_an_id_that_LiteLLM_did_not_make_is_the_providers_own(id_: Any) -> None:
    event = retrieval(id=id_, call_type="aget_responses", custom_llm_provider="openai")
    assert ids(spend_record(event, DONE))[0] == f"{response_id(own=str(id_))}_background_cost"


def test_LiteLLMs_poll_for_the_cost_keeps_the_id_under_which_its_proxy_logs_it() -> None:
    event = retrieval(id=response_id("deployment-1"), call_type="aget_responses")
    event["litellm_params"] = {"metadata": {"internal_call_origin": "background_response_cost_poll"}}
    for answer in (DONE, {"text": "redacted-by-litellm"}):
        record = spend_record(event, answer)
        assert ids(record)[0] == f"{response_id('deployment-1')}_background_cost"
        assert record and record["response_cost"] == 0.25


@pytest.mark.parametrize("call_type", [*READS, "aresponses"])
def test_a_background_response_without_a_cost_yet_is_a_call_like_any_other(call_type: str) -> None:
    queued = SimpleNamespace(status="queued", background=True)
    assert ids(spend_record(retrieval(id="resp_1", call_type=call_type, response_cost=0.0), queued)) == (
        "resp_1",
        "call-1",
    )


@pytest.mark.parametrize("call_type", READS)
@pytest.mark.parametrize("answer", [{"background": False}, {}, {"background": True, "status": "in_progress"}], ids=str)
def test_a_response_that_is_priced_elsewhere_costs_nothing_to_read(call_type: str, answer: dict[str, Any]) -> None:
    usage = {"usage_object": {"prompt_tokens_details": {"cached_tokens": 5}}}
    event = retrieval(id="resp_1", call_type=call_type, total_tokens=7, metadata=usage)
    record = spend_record(event, {"status": "completed", **answer})
    assert record and ids(record) == ("resp_1", "call-1")
    assert (record["response_cost"], record["total_tokens"], record["metadata"]) == (0.0, 0, {})


def test_a_response_made_in_the_foreground_is_a_call_like_any_other() -> None:
    event = retrieval(id="resp_1", call_type="aresponses", total_tokens=7)
    record = spend_record(event, SimpleNamespace(status="completed", background=False))
    assert record and (*ids(record), record["response_cost"]) == ("resp_1", "call-1", 0.25)


def video_id(padding: str = "==") -> str:
    text = "litellm:custom_llm_provider:openai;model_id:sora-2;video_id:video_12"
    encoded = base64.b64encode(text.encode()).decode()
    assert encoded.endswith("=")
    return "video_" + encoded.rstrip("=") + padding[: encoded.count("=")]


def poll(call_id: str = "call-1", named: str | None = None, **changes: Any) -> dict[str, Any]:
    event = retrieval(call_id, **{"id": "video_12", "call_type": "avideo_status", **changes})
    return event | {"litellm_params": {"video_id": named}}


VIDEO = SimpleNamespace(status="completed")


@pytest.mark.parametrize("call_type", ["video_status", "avideo_status"])
def test_all_polls_of_a_finished_video_have_the_ids_of_its_cost(call_type: str) -> None:
    for event in (poll("call-1", video_id(), call_type=call_type), poll("call-2", video_id(""), call_type=call_type)):
        assert ids(spend_record(event, VIDEO)) == (f"{video_id()}_video_cost",) * 2
    assert ids(spend_record(poll(call_type=call_type), VIDEO)) == ("video_12_video_cost",) * 2


def test_a_video_that_is_not_finished_costs_nothing_yet() -> None:
    for event, answer in (
        (poll(), SimpleNamespace(status="in_progress")),
        (poll() | {"polled_video_status": "queued"}, {"text": "redacted-by-litellm"}),
    ):
        record = spend_record(event, answer)
        assert record and (*ids(record), record["response_cost"]) == ("video_12", "call-1", 0.0)


@pytest.mark.parametrize("status", ["completed", "in_progress"])
def test_a_poll_that_costs_what_its_guardrails_cost_is_charged_each_time(status: str) -> None:
    for call_id in ("call-1", "call-2"):
        event = poll(call_id, cost_breakdown={"guardrail_cost": 0.25})
        record = spend_record(event, SimpleNamespace(status=status))
        assert record and (*ids(record), record["response_cost"]) == (*(f"{call_id}_guardrail_cost",) * 2, 0.25)
    both = poll(cost_breakdown={"guardrail_cost": 0.125})
    assert ids(spend_record(both, VIDEO)) == ("video_12_video_cost",) * 2
