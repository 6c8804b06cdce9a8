"""The record of an event: the allow list, the hashed key, the additions; no secret, and nothing that jsonb refuses."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
import timeit
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._log import Once
from litellm_spend._record import capture
from litellm_spend._record.capture import freeze, shape, spend_record, stored_key, take, write
from litellm_spend._record.encode import TOO_DEEP, TOO_LARGE, TOO_MANY, encode

NEEDLES = [f"needle-{number}" for number in range(16)]


def event(**changes: Any) -> dict[str, Any]:
    payload = {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "trace_id": "trace-1",
        "call_type": "acompletion",
        "status": "success",
        "startTime": 1.5,
        "endTime": 2.5,
        "response_cost": 0.25,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "api_base": "",
        "cache_hit": None,
        "request_tags": ["a", "b"],
        "metadata": {"user_api_key_user_id": None, "team_id": "team-1", "usage_object": {"prompt_tokens": 10}},
        "hidden_params": {"api_base": "https://api.openai.com"},
        **changes,
    }
    return {"standard_logging_object": payload, "litellm_call_id": "call-1", "user": "user-1", "litellm_params": {}}


def captured(kwargs: dict[str, Any], response: Any = None) -> dict[str, Any]:
    record = spend_record(kwargs, response)
    assert record is not None
    return record


def test_a_record_holds_ids_cost_tokens_and_names() -> None:
    record = captured(event())
    assert record == {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "trace_id": "trace-1",
        "call_type": "acompletion",
        "status": "success",
        "startTime": 1.5,
        "endTime": 2.5,
        "response_cost": 0.25,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "api_base": "https://api.openai.com",
        "request_tags": ["a", "b"],
        "made_outside_proxy": True,
        "metadata": {"team_id": "team-1", "usage_object": {"prompt_tokens": 10}},
        "user": "user-1",
    }


def test_what_litellm_hides_in_its_parameters_reaches_the_log_row() -> None:
    hidden = {"litellm_overhead_time_ms": 1.5, "batch_models": ["a", "b"], "additional_headers": {"x": "y"}}
    kwargs = event(hidden_params=hidden, session_id="session-1")
    kwargs["litellm_params"] = {"preset_cache_key": "key-1"}
    record = captured(kwargs)
    assert (record["session_id"], record["cache_key"]) == ("session-1", "key-1")
    del hidden["additional_headers"]
    assert {name: record["metadata"].get(name) for name in hidden} == hidden


def test_nothing_off_the_list_is_captured_at_any_level() -> None:
    needle = iter(NEEDLES)
    kwargs = event(
        messages=[{"content": next(needle)}],
        response={"choices": [{"message": {"content": next(needle)}}]},
        error_str=next(needle),
        api_base=f"https://{next(needle)}:{next(needle)}@api.example.com/v1?key={next(needle)}#{next(needle)}",
        error_information={"error_code": "429", "error_message": next(needle), "traceback": next(needle)},
        model_parameters={"user": next(needle)},
        metadata={"requester_metadata": {"x": next(needle)}, "usage_object": {"x": next(needle)}},
        hidden_params={"additional_headers": {"x": next(needle)}},
    )
    kwargs |= {"api_key": next(needle), "messages": next(needle), "additional_args": {"headers": next(needle)}}
    text = encode(captured(kwargs))
    assert "needle" not in text
    assert '"error_information":{"error_code":"429"}' in text
    assert '"api_base":"https://api.example.com/v1"' in text


@pytest.mark.parametrize(
    ("api_base", "kept"),
    [
        ("https://needle@api.example.com:8443/v1", "https://api.example.com:8443/v1"),
        ("https://key:n@eedle@api.example.com", "https://api.example.com"),
        ("user:needle@localhost:4000?key=needle", "localhost:4000"),
        (
            "https://api.example.com/models/gemini@001:predict?alt=a@b",
            "https://api.example.com/models/gemini@001:predict",
        ),
        ("", ""),
    ],
)
def test_the_address_of_a_provider_is_kept_without_credentials(api_base: str, kept: str) -> None:
    assert captured(event(api_base=api_base, hidden_params={})).get("api_base") == kept
    assert captured(event(api_base=None, hidden_params={"api_base": api_base})).get("api_base", "") == kept


@pytest.mark.parametrize("raw", ["sk-raw-1", "Bearer sk-raw-1", "bearer  sk-raw-1"])
def test_a_raw_key_becomes_its_hash(raw: str) -> None:
    kwargs = event()
    kwargs["litellm_params"] = {"metadata": {"user_api_key": raw}}
    record = captured(kwargs)
    assert record["api_key"] == hashlib.sha256(b"sk-raw-1").hexdigest()
    assert record["metadata"]["user_api_key_hash"] == record["api_key"]
    assert "sk-raw" not in encode(record)


@pytest.mark.parametrize("key", ["a" * 64, "litellm_proxy_master_key", "hashed-jwt-" + "b" * 64])
def test_a_hash_or_alias_stays(key: str) -> None:
    assert stored_key(key) == key


def test_the_payloads_user_wins_over_the_argument() -> None:
    record = captured(event(metadata={"user_api_key_user_id": "owner"}))
    assert "user" not in record and record["metadata"]["user_api_key_user_id"] == "owner"


def test_agent_and_origin_come_from_the_requests_metadata() -> None:
    kwargs = event()
    kwargs["litellm_params"] = {
        "metadata": {"agent_id": "agent-1"},
        "litellm_metadata": {"internal_call_origin": "shadow_eval_judge", "agent_id": "agent-2"},
    }
    record = captured(kwargs)
    assert (record["agent_id"], record["internal_call_origin"]) == ("agent-1", "shadow_eval_judge")


def test_what_only_the_request_knows_is_captured() -> None:
    kwargs = event(
        model_map_information={"model_map_key": "gpt-4o", "model_map_value": {"needle": 1}},
        request_model_access_groups=["group-1"],
        cost_breakdown={"data_residency": "eu", "vertex_location": "x"},
    )
    metadata = {
        "billing_agent_id": "agent-3",
        "project_id": "project-1",
        "user_api_key_project_id": "project-2",
        "billed_retry_attempt": True,
        "attempted_retries": 1,
        "max_retries": 2,
        "attempted_fallbacks": 0,
        "original_model_group": "group",
        "model_info": {"needle": 1},
        "previous_models": ["needle"],
    }
    kwargs["litellm_params"] = {"metadata": metadata}
    kwargs["agent_id"] = "agent-0"
    record = captured(kwargs)
    assert "needle" not in encode(record)
    assert record["agent_id"] == "agent-0"
    assert (record["billing_agent_id"], record["project_id"]) == ("agent-3", "project-1")
    assert record["model_map_information"] == {"model_map_key": "gpt-4o"}
    assert record["request_model_access_groups"] == ["group-1"]
    assert record["cost_breakdown"] == {"data_residency": "eu", "vertex_location": "x"}
    names = ("billed_retry_attempt", "attempted_retries", "max_retries", "attempted_fallbacks", "original_model_group")
    assert [record["metadata"][name] for name in names] == [True, 1, 2, 0, "group"]
    assert record["metadata"]["user_api_key_project_id"] == "project-2"


def test_the_end_user_is_the_requests_unless_end_users_are_not_to_be_tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    kwargs = event(end_user="body", metadata={"user_api_key_end_user_id": "payload"})
    kwargs["litellm_params"] = {"user_api_key_end_user_id": "request"}
    assert captured(kwargs)["metadata"]["user_api_key_end_user_id"] == "request"
    kwargs["litellm_params"] = {"metadata": {"user_api_key_end_user_id": "metadata"}}
    assert captured(kwargs)["metadata"]["user_api_key_end_user_id"] == "payload"
    monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(disable_end_user_cost_tracking=True))
    record = captured(kwargs)
    assert "end_user" not in record and "user_api_key_end_user_id" not in record["metadata"]


def test_called_tools_are_those_of_the_response_or_else_of_the_payload() -> None:
    message = {"tool_calls": [{"function": {"name": "search", "arguments": "needle"}}]}
    answer = {"choices": [{"message": message}]}
    assert captured(event(), answer)["tool_calls"] == ["search"]
    assert captured(event(response=answer))["tool_calls"] == ["search"]
    assert captured(event() | {"realtime_tool_calls": message["tool_calls"]})["tool_calls"] == ["search"]
    assert "tool_calls" not in captured(event())


class Broken:
    """A response whose members cannot be read."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("needle")


def test_a_response_that_cannot_be_read_costs_the_names_of_its_tools_and_not_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Any) -> float:
        raise RuntimeError("needle")

    monkeypatch.setattr(capture, "prompt_caching_savings", fail)
    assert captured(event(), Broken()) == captured(event())


def test_a_cache_hit_costs_nothing() -> None:
    assert captured(event(cache_hit=True))["response_cost"] == 0.0


def test_calls_that_a_proxy_records_and_calls_without_a_payload_are_skipped() -> None:
    assert spend_record(event(custom_llm_provider="litellm_proxy")) is None
    as_of_a_proxy = {"proxy_server_request": {"headers": {}}, "metadata": {"user_api_key": "k"}}
    assert spend_record({**event(custom_llm_provider="litellm_proxy"), "litellm_params": as_of_a_proxy}) is None
    assert spend_record({"litellm_call_id": "x"}) is None


def test_what_jsonb_refuses_is_cleaned() -> None:
    odd = {
        "nul": "a\0b",
        "emoji": "\U0001f600",
        "half": "x\ud83dy",
        "nan": float("nan"),
        "inf": float("-inf"),
        "decimal": Decimal("1.5"),
        "when": datetime(2026, 1, 2, tzinfo=timezone.utc),
        "set": {1},
        "object": SimpleNamespace(secret="needle"),
        ("a", 1): "key",
        "huge": 10**140_000,
        "k\0ey": 1,
    }
    text = encode(captured(event(id="chat\0cmpl", metadata={"spend_logs_metadata": odd})))
    assert "\\u0000" not in text and "needle" not in text and "NaN" not in text and "Infinity" not in text
    kept = json.loads(text)["metadata"]["spend_logs_metadata"]
    assert (kept["nul"], kept["emoji"], kept["half"]) == ("ab", "\U0001f600", "x\ufffdy")
    assert (kept["nan"], kept["inf"], kept["decimal"], kept["huge"]) == (None, None, 1.5, TOO_LARGE)
    assert kept["object"] == "<SimpleNamespace>" and kept["key"] == 1
    assert json.loads(text)["id"] == "chatcmpl"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2**64 - 1, "18446744073709551615"),
        (-(10**5000), "-1" + "0" * 5000),
        (10**131_072 - 1, "9" * 131_072),
        (Decimal("0.12345678901234567890123"), "0.12345678901234567890123"),
        (Decimal("-1E+400"), "-1E+400"),
        (Decimal("1e-16383"), "1E-16383"),
    ],
    ids=lambda value: f"{value:.20}" if isinstance(value, str) else type(value).__name__,
)
def test_a_number_of_the_users_own_data_stays_exact(number: Any, text: str) -> None:
    written = write(freeze(take(event(metadata={"spend_logs_metadata": {"n": number, "nul": "\0" + "1"}}), None)))
    assert f'"spend_logs_metadata":{{"n":{text},"nul":"1"}}' in written


BEYOND = [10**131_072, Decimal("1e131072"), Decimal("1e-16384"), Decimal("1e999999999")]


@pytest.mark.parametrize("number", BEYOND, ids=["int", "e131072", "e-16384", "e999999999"])
def test_a_number_beyond_postgres_is_marked(number: Any) -> None:
    own = captured(event(metadata={"spend_logs_metadata": [number, float("nan"), Decimal("inf")]}))
    assert own["metadata"]["spend_logs_metadata"] == [TOO_LARGE, None, None]


def test_many_long_numbers_are_cut_to_a_size() -> None:
    own = captured(event(metadata={"spend_logs_metadata": [10**100_000] * 100}))["metadata"]["spend_logs_metadata"]
    assert own == [10**100_000, 10**100_000, TOO_MANY]


def test_what_is_cut_bears_a_mark_and_one_warning_tells_of_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("litellm_spend._record.encode._warning", Once())
    deep: Any = 1
    for _ in range(65):
        deep = [deep]
    for own in ({"deep": deep}, list(range(10_001)), [dict.fromkeys(map(str, range(20_000))), 1]):
        text = encode(captured(event(metadata={"spend_logs_metadata": own})))
        assert (TOO_DEEP in text) != (TOO_MANY in text)
    assert text.endswith(
        f'"<cut>":"{TOO_MANY}"}}]}},"request_tags":["a","b"],"made_outside_proxy":true,"user":"user-1"}}'
    )
    [line] = [record.getMessage() for record in caplog.records]
    assert TOO_DEEP in line


def rich_event() -> dict[str, Any]:
    usage = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 10}}
    kwargs = event(
        metadata={"usage_object": usage, "applied_guardrails": ["a"], "spend_logs_metadata": {"own": [1, {"deep": 2}]}},
        cost_breakdown={"input_cost": 0.5},
        hidden_params={"batch_models": ["b"], "upstream_provider": "c"},
    )
    metadata = {"agent_id": "agent-1", "tags": ["a"]}
    return kwargs | {"litellm_params": {"metadata": metadata}, "realtime_tool_calls": [{"function": {"name": "look"}}]}


def spoil(value: Any) -> None:
    """Empties every object in `value`."""
    for item in list(value.values()) if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            spoil(item)
    value.clear()


@pytest.mark.parametrize("wait", [lambda taken: taken, freeze], ids=["taken", "frozen"])
def test_a_record_stays_as_it_was_when_the_hook_returned(wait: Callable[[Any], Any]) -> None:
    kwargs = rich_event()
    expected = captured(copy.deepcopy(kwargs))
    waiting = wait(take(kwargs, None))
    spoil(kwargs)
    assert (shape(waiting) if isinstance(waiting, tuple) else json.loads(write(waiting))) == expected


def test_what_waits_holds_no_text_of_a_request_its_answer_or_an_error() -> None:
    needle = iter(NEEDLES)
    kwargs = event(
        messages=[{"content": next(needle)}],
        response={"choices": [{"message": {"content": next(needle)}}]},
        error_str=next(needle),
        error_information={"error_message": next(needle), "traceback": next(needle)},
        model_parameters={"user": next(needle)},
        metadata={"requester_metadata": {"x": next(needle)}, "prompt_management_metadata": next(needle)},
        hidden_params={"additional_headers": {"x": next(needle)}},
    )
    kwargs |= {"api_key": next(needle), "messages": next(needle), "additional_args": {"headers": next(needle)}}
    kwargs["litellm_params"] = {"metadata": {"own": next(needle), "user_api_key": next(needle)}}
    frozen = freeze(take(kwargs, None))
    assert isinstance(frozen, bytes) and b"needle" not in frozen


class Model(str, Enum):
    FIRST = "first"


def test_a_subclass_of_text_is_recorded_as_text() -> None:
    frozen = freeze(take(event(model=Model.FIRST), None))
    assert json.loads(write(frozen))["model"] == "first"


def test_a_structure_without_end_is_cut() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert len(encode(captured(event(metadata={"spend_logs_metadata": endless})))) < 10_000


def test_a_structure_that_grows_twofold_at_each_level_is_cut() -> None:
    parent: dict[str, Any] = {"name": "parent"}
    parent["children"] = [{"name": "child", "parent": parent} for _ in range(2)]
    doubled: list[Any] = []
    for _ in range(60):
        doubled = [doubled, doubled]
    for endless in (parent, doubled, parent | {"nul": "\0"}):
        assert len(encode(captured(event(metadata={"spend_logs_metadata": endless})))) < 1_000_000


def test_what_is_no_larger_than_it_may_be_is_kept_whole() -> None:
    own = {"vector": list(range(9_998)), "name": "own"}
    text = encode(captured(event(metadata={"spend_logs_metadata": own}, request_tags=["tag"] * 20_000, id="a\0")))
    kept = json.loads(text)
    assert kept["metadata"]["spend_logs_metadata"] == own and len(kept["request_tags"]) == 20_000


def test_a_record_takes_no_longer_than_a_few_copies_of_its_event() -> None:
    kwargs = event()

    def seconds(run: Callable[[], object]) -> float:
        return min(timeit.repeat(run, number=200, repeat=7))

    # On an idle core it takes about as long as one copy. The limit only catches a slowdown by an order of magnitude.
    assert seconds(lambda: encode(captured(kwargs))) < 10 * seconds(lambda: copy.deepcopy(kwargs))
