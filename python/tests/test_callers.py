"""The caller's metadata that LiteLLM drops: which members are remembered, for which calls, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from test_capture import event

from litellm_spend._intake import callers_metadata
from litellm_spend._intake.callers_metadata import CallersMetadata

OWN = {"team_id": "team-2", "tags": ["tag"], "user_api_key_user_id": "user-2", "prompt": "needle"}


def start(call_id: str = "call-1", **arguments: Any) -> dict[str, Any]:
    return {"litellm_call_id": call_id, "metadata": OWN, **arguments}


def ended(remembered: CallersMetadata, call_type: str = "aresponses") -> Any:
    kwargs = event(metadata={"team_id": None}, request_tags=["agent"]) | {"call_type": call_type}
    payload = remembered.with_metadata(kwargs)["standard_logging_object"]
    return payload["metadata"].get("team_id"), payload["request_tags"]


NOTHING = (None, ["agent"])


@pytest.mark.parametrize("call_type", ["aresponses", "anthropic_messages"])
def test_what_litellm_drops_is_added_once_and_only_what_is_on_the_list(call_type: str) -> None:
    remembered = CallersMetadata()
    remembered.started(start(), call_type)
    remembered.started({"litellm_call_id": "call-1"}, "acompletion")  # the completion that serves it
    kwargs = event() | {"call_type": "acompletion"}
    added = remembered.with_metadata(kwargs)
    payload = added["standard_logging_object"]
    assert payload["metadata"]["team_id"] == "team-1", "what LiteLLM passes on comes first"
    assert payload["metadata"]["user_api_key_user_id"] == "user-2"
    assert payload["request_tags"] == ["tag", "a", "b"]
    assert "needle" not in str(added)
    assert remembered.with_metadata(kwargs) is kwargs


def test_a_completion_that_litellm_calls_sync_and_marks_as_async_ends_the_call() -> None:
    remembered = CallersMetadata()
    remembered.started(start(), "anthropic_messages")
    kwargs = event() | {"call_type": "completion", "litellm_params": {"acompletion": True}}
    assert remembered.with_metadata(kwargs)["standard_logging_object"]["request_tags"] == ["tag", "a", "b"]


@pytest.mark.parametrize(
    ("call_type", "arguments"),
    [
        ("acompletion", {}),
        ("aresponses", {"litellm_metadata": {"user_api_key": "sk-1"}}),
        ("aresponses", {"proxy_server_request": {"body": {}}}),
        ("aresponses", {"metadata": "text"}),
    ],
)
def test_what_litellm_passes_on_and_what_a_proxys_client_wrote_is_not_remembered(
    call_type: str, arguments: dict[str, Any]
) -> None:
    remembered = CallersMetadata()
    remembered.started(start(**arguments), call_type)
    assert ended(remembered) == NOTHING


@pytest.mark.parametrize(
    ("call_type", "arguments"), [("aresponses", {"metadata": None}), ("acompletion", {"metadata": {"tags": []}})]
)
def test_another_call_with_its_id_gets_nothing_of_it(call_type: str, arguments: dict[str, Any]) -> None:
    remembered = CallersMetadata()
    remembered.started(start(), "aresponses")
    remembered.started(start(**arguments), call_type)
    assert ended(remembered) == NOTHING
    remembered.started(start(), "aresponses")
    assert ended(remembered, "completion") == NOTHING, "a sync call has no start"


def test_what_never_ends_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers_metadata, "_CALLS", 2)
    remembered = CallersMetadata()
    for number in (1, 2, 3):
        remembered.started(start(f"call-{number}"), "aresponses")
    assert ended(remembered) == NOTHING
    assert len(remembered._calls) == 2


@pytest.mark.parametrize("call_id", [["call"], None], ids=str)
def test_nothing_is_remembered_of_a_call_whose_id_is_none(call_id: Any) -> None:
    remembered = CallersMetadata()
    remembered.started(start(call_id), "aresponses")
    kwargs = event() | {"call_type": "aresponses", "litellm_call_id": call_id}
    assert remembered.with_metadata(kwargs) is kwargs
