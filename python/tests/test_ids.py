"""Ids that are no strings: the text of such an id, and what happens to an id that has no text."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from test_capture import event

from litellm_spend._log import Once
from litellm_spend._record.capture import freeze, take, write
from litellm_spend._record.ids import UnusableIds, plain, text_of

TEAM = "11111111-2222-3333-4444-555555555555"


class Kind(str, Enum):
    TEXT = "text"


class Number(IntEnum):
    FOUR = 4


class Team(Enum):
    RED = UUID(TEAM)
    NESTED = Number.FOUR
    NONE = object()


class OddText(str):
    def __str__(self) -> str:
        raise RuntimeError("needle")


class OddUuid(UUID):
    def __str__(self) -> str:
        raise RuntimeError("needle")


class OddNumber(int):
    def __repr__(self) -> str:
        return "needle"

    __str__ = __int__ = __repr__  # type: ignore[assignment]


class OddEnum(Enum):
    ONE = 1

    @property
    def value(self) -> Any:
        raise RuntimeError("needle")


class Money(float):
    pass


@dataclass
class Account:
    secret: str = "needle"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("team", "team"),
        (Kind.TEXT, "text"),
        (OddText("odd"), "odd"),
        (UUID(TEAM), TEAM),
        (OddUuid(TEAM), TEAM),
        (Team.RED, TEAM),
        (Team.NESTED, "4"),
        (42, "42"),
        (-(2**200), str(-(2**200))),
        (Number.FOUR, "4"),
        (OddNumber(7), "7"),
        (44.0, "44"),
        (0.5, "0.5"),
        (1e300, "1e+300"),
        (Decimal("12345678901234567890.50"), "12345678901234567890.50"),
        (b"team-\xc3\xa9", "team-é"),
        (bytearray(b"team"), "team"),
        (memoryview(b"team"), "team"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_text_of_an_id(value: Any, text: str) -> None:
    assert text_of(value) == text and type(text_of(value)) is str


NO_IDS = [
    True,
    float("nan"),
    float("inf"),
    Decimal("nan"),
    10**5000,
    b"\xff",
    {"id": 1},
    ["a"],
    Account(),
    Team.NONE,
]


@pytest.mark.parametrize("value", [*NO_IDS, OddEnum.ONE], ids=lambda value: type(value).__name__)
def test_what_has_no_text_is_no_id(value: Any) -> None:
    assert text_of(value) is None


@pytest.mark.parametrize(
    ("value", "built_in"),
    [
        (Money(0.5), 0.5),
        (OddNumber(7), 7),
        (Kind.TEXT, "text"),
        (Decimal("0.5"), 0.5),
        (True, True),
        (Account(), None),
    ],
)
def test_a_scalar_leaves_as_the_exact_type(value: Any, built_in: Any) -> None:
    assert plain(value) == built_in and type(plain(value)) is type(built_in)


def in_metadata(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: event(metadata={name: value})


def in_request(where: str, name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: event() | {"litellm_params": {where: {name: value}}}


PLACES: dict[str, tuple[Callable[[Any], dict[str, Any]], Callable[[dict[str, Any]], Any]]] = {
    "user": (
        lambda value: event() | {"user": value},
        lambda record: record.get("user"),
    ),
    "agent_id": (
        lambda value: event() | {"agent_id": value},
        lambda record: record.get("agent_id"),
    ),
    "litellm_call_id": (
        lambda value: event(litellm_call_id=value),
        lambda record: record.get("litellm_call_id"),
    ),
    "id": (lambda value: event(id=value), lambda record: record.get("id")),
    "trace_id": (
        lambda value: event(trace_id=value),
        lambda record: record.get("trace_id"),
    ),
    "session_id": (
        lambda value: event(session_id=value),
        lambda record: record.get("session_id"),
    ),
    "request_tags": (
        lambda value: event(request_tags=["plain", value]),
        lambda record: (record["request_tags"][1:] or [None])[0],
    ),
    "user_api_key_end_user_id": (
        lambda value: event() | {"litellm_params": {"user_api_key_end_user_id": value}},
        lambda record: record["metadata"].get("user_api_key_end_user_id"),
    ),
    **{
        name: (
            in_metadata(name),
            lambda record, name=name: record["metadata"].get(name),
        )
        for name in (
            "user_api_key_user_id",
            "user_api_key_team_id",
            "team_id",
            "user_api_key_org_id",
        )
    },
    **{
        name: (in_request("metadata", name), lambda record, name=name: record.get(name))
        for name in ("billing_agent_id", "project_id")
    },
    "user_api_key_project_id": (
        in_request("litellm_metadata", "user_api_key_project_id"),
        lambda record: record["metadata"].get("user_api_key_project_id"),
    ),
}


def recorded(kwargs: dict[str, Any], ids: UnusableIds) -> dict[str, Any]:
    taken = take(kwargs, None, ids.report_unusable)
    assert taken is not None
    frozen = freeze(taken)
    assert isinstance(frozen, bytes), "it is marshalled"
    return json.loads(write(frozen))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "value",
    [UUID(TEAM), Team.RED, TEAM.encode()],
    ids=lambda value: type(value).__name__,
)
def test_an_id_is_its_text_wherever_it_stands(place: str, value: Any) -> None:
    ids = UnusableIds()
    put, found = PLACES[place]
    assert found(recorded(put(value), ids)) == TEAM
    assert ids.count == 0


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: type(value).__name__)
def test_what_is_no_id_is_counted_and_left_out(place: str, value: Any) -> None:
    ids = UnusableIds()
    put, found = PLACES[place]
    record = recorded(put(value), ids)
    # If the payload has no call id, the call id of the event is used.
    assert found(record) == ("call-1" if place == "litellm_call_id" else None)
    assert ids.count == 1
    assert "needle" not in json.dumps(record)


def test_a_key_of_bytes_is_hashed_as_its_text_is() -> None:
    keys = (in_request("metadata", "user_api_key")(key) for key in ("sk-1", b"sk-1"))
    of_text, of_bytes = (recorded(kwargs, UnusableIds()) for kwargs in keys)
    assert of_text == of_bytes and len(of_text["api_key"]) == 64


def test_a_cost_of_another_type_of_number_is_the_cost() -> None:
    usage = {
        "prompt_tokens": OddNumber(10),
        "prompt_tokens_details": {"cached_tokens": OddNumber(5)},
    }
    record = recorded(
        event(response_cost=Money(0.25), metadata={"usage_object": usage}),
        UnusableIds(),
    )
    assert record["response_cost"] == 0.25
    assert record["metadata"]["usage_object"] == {
        "prompt_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 5},
    }


def test_one_warning_names_the_field_and_the_type_and_not_the_value(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnusableIds, "_warning", Once())
    ids, other = UnusableIds(), UnusableIds()
    with caplog.at_level(logging.WARNING, logger="litellm_spend"):
        recorded(in_metadata("team_id")(Account()), ids)
        recorded(in_metadata("team_id")(Account()), other)
        recorded(event() | {"user": True}, ids)
    assert (ids.count, other.count) == (2, 1)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("team_id is a Account, which is no id") and "needle" not in line
