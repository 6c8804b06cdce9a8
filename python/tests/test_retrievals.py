"""Work in the background is recorded once its cost is known, and every retrieval of it has the same ids."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend.capture import spend_record


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


@pytest.mark.parametrize("call_type", ["get_responses", "aget_responses"])
def test_all_retrievals_of_a_background_response_have_the_ids_of_its_cost(call_type: str) -> None:
    done = SimpleNamespace(status="completed", background=True)
    for call_id in ("call-1", "call-2"):
        record = spend_record(retrieval(call_id, id="resp_1", call_type=call_type), done)
        assert record and (record["id"], record["litellm_call_id"]) == ("resp_1_background_cost",) * 2


def test_a_background_response_without_a_cost_yet_is_retrieved_by_a_call_like_any_other() -> None:
    queued = SimpleNamespace(status="queued", background=True)
    record = spend_record(retrieval(id="resp_1", call_type="aget_responses", response_cost=0.0), queued)
    assert record and (record["id"], record["litellm_call_id"]) == ("resp_1", "call-1")


def test_a_response_that_was_priced_when_it_was_made_costs_nothing_to_retrieve() -> None:
    usage = {"usage_object": {"prompt_tokens_details": {"cached_tokens": 5}}}
    event = retrieval(id="resp_1", call_type="get_responses", total_tokens=7, metadata=usage)
    record = spend_record(event, SimpleNamespace(status="completed", background=False))
    assert record and (record["id"], record["litellm_call_id"]) == ("resp_1", "call-1")
    assert (record["response_cost"], record["total_tokens"], record["metadata"]) == (0.0, 0, {})
