"""Spend records in LiteLLM's SpendLogs shape, and the totals that the targets must hold after a fold."""

from __future__ import annotations

import uuid
from typing import Any

from .database import Database, Record

DAY = "2026-03-01"
NOON = 1_772_366_400_000
"""Noon of DAY, in milliseconds since 1970."""


def spend_record(**fields: Any) -> Record:
    """A complete, valid record of one successful call; `fields` replace or add top-level fields."""
    record = {
        "request_id": f"req-{uuid.uuid4()}",
        "litellm_call_id": str(uuid.uuid4()),
        "call_type": "acompletion",
        "spend": 0.25,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "startTime": f"{DAY}T12:00:00.000Z",
        "endTime": f"{DAY}T12:00:01.500Z",
        "model": "gpt-4o-mini",
        "custom_llm_provider": "openai",
        "user": "alice",
        "team_id": "team-a",
        "request_tags": ["blue"],
        "status": "success",
        "metadata": {"status": "success"},
    }
    record.update(fields)
    return record


def spend_records(count: int, prefix: str = "r", **fields: Any) -> list[Record]:
    """`count` records with the ids prefix-0, prefix-1, ..."""
    return [spend_record(request_id=f"{prefix}-{index}", **fields) for index in range(count)]


def unnamed(milliseconds: int, spend: float = 0.25, call_id: str = "job-7", **fields: Any) -> Record:
    """A request that started this long after noon and got no id from the provider."""
    start = f"{DAY}T12:00:{milliseconds // 1000:02}.{milliseconds % 1000:03}Z"
    return spend_record(request_id=call_id, litellm_call_id=call_id, startTime=start, spend=spend, **fields)


def logged(record: Record, milliseconds: int) -> Record:
    """The record under the id of its log row, where another request was first."""
    return {**record, "request_id": f"{record['request_id']}#{NOON + milliseconds}"}


_LOGS = 'SELECT count(*), coalesce(sum(spend), 0) FROM "LiteLLM_SpendLogs"'
_DAILY = 'SELECT coalesce(sum(api_requests), 0)::bigint, coalesce(sum(spend), 0) FROM "LiteLLM_Daily{}Spend"'
_ENTITY = 'SELECT NULL::bigint, coalesce(sum(spend), 0) FROM "LiteLLM_{}Table"'
# Every target with a total: how many requests it counted (NULL where it has no such column) and its spend.
TOTALS = {
    "logs": _LOGS,
    **{f"daily {entity.lower()}": _DAILY.format(entity) for entity in ("User", "Team", "Tag")},
    **{entity.lower(): _ENTITY.format(entity) for entity in ("User", "Team", "Tag")},
}


def totals(database: Database) -> dict[str, tuple[int | None, float]]:
    """(requests, spend) of each target, all read in one snapshot."""
    statement = " UNION ALL ".join(
        f"SELECT {position}, * FROM ({query}) AS t(requests, spend)" for position, query in enumerate(TOTALS.values())
    )
    names = list(TOTALS)
    return {names[position]: (requests, spend) for position, requests, spend in database.query(statement)}


def assert_counted(database: Database, records: list[Record]) -> None:
    """Every target holds exactly these records, each once: each has a user, a team and one tag."""
    spend = sum(record["spend"] for record in records)
    actual = totals(database)
    for name, (requests, total) in actual.items():
        assert requests in (None, len(records)), f"{name} counted {requests} requests, not {len(records)}: {actual}"
        assert abs(total - spend) <= 1e-9 * max(1.0, abs(spend)), f"{name} holds {total}, not {spend}: {actual}"
    ids = {request_id for (request_id,) in database.query('SELECT request_id FROM "LiteLLM_SpendLogs"')}
    assert ids == {record["request_id"] for record in records}


def counted(database: Database) -> int:
    """How many requests LiteLLM's log holds."""
    return database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"')
