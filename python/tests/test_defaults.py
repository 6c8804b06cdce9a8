"""What an application sets for all its calls gives way to what a call says, and does not touch a proxy's requests."""

from __future__ import annotations

from typing import Any

import pytest

from litellm_spend._record.defaults import Defaults
from litellm_spend._record.encode import encode


def record(**members: Any) -> dict[str, Any]:
    return {"id": "1", "made_outside_proxy": True, "metadata": {}, **members}


@pytest.mark.parametrize(
    ("metadata", "team"),
    [
        ({}, "default"),
        ({"team_id": ""}, "default"),
        ({"team_id": "own"}, "own"),
        ({"user_api_key_team_id": "key's"}, None),
        ({"user_api_key_team_id": None}, "default"),
    ],
)
def test_the_default_team_is_that_of_calls_that_name_none(metadata: dict[str, Any], team: str | None) -> None:
    changed = record(metadata=metadata)
    Defaults(team="default").add_to(changed)
    assert changed["metadata"].get("team_id") == team


@pytest.mark.parametrize(
    ("own", "tags"), [(None, ["a", "b"]), ([], ["a", "b"]), (["c", "a"], ["c", "a", "b"]), (["b"], ["b", "a"])]
)
def test_the_default_tags_follow_the_calls_own(own: list[str] | None, tags: list[str]) -> None:
    changed = record(request_tags=own)
    for _ in range(2):
        Defaults(tags=("a", "b")).add_to(changed)
        assert changed["request_tags"] == tags


@pytest.mark.parametrize(
    ("own", "members"),
    [
        (None, {"stage": "test", "app": {"name": "x"}}),
        ({"stage": None}, {"stage": None, "app": {"name": "x"}}),
        ({"app": 1, "other": 2}, {"stage": "test", "app": 1, "other": 2}),
        (["no", "object"], ["no", "object"]),
    ],
)
def test_the_default_metadata_gives_way_to_the_calls_own(own: Any, members: Any) -> None:
    changed = record(metadata={} if own is None else {"spend_logs_metadata": own})
    Defaults(metadata={"stage": "test", "app": {"name": "x"}}).add_to(changed)
    assert changed["metadata"]["spend_logs_metadata"] == members


def test_a_request_of_a_proxy_gets_no_default() -> None:
    of_proxy = {"id": "1", "metadata": {}}
    Defaults("team", ("tag",), {"a": 1}).add_to(of_proxy)
    assert of_proxy == {"id": "1", "metadata": {}}


def test_default_metadata_that_refers_to_itself_is_cut() -> None:
    metadata: dict[str, Any] = {}
    metadata["a"] = metadata["b"] = metadata
    changed = record()
    Defaults(metadata=metadata).add_to(changed)
    assert "<cut: " in encode(changed)


def test_there_may_be_no_defaults() -> None:
    assert not Defaults() and Defaults("team") and Defaults(tags=["tag"]) and Defaults(metadata={"a": 1})
