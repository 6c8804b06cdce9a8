"""Requests of few entities, so that all writers that charge them meet at the same rows, and the amount that each
request adds to each row. A test and the LiteLLM writers beside it share this module."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections import Counter
from collections.abc import Iterable

DAY = "2026-03-01"
SPEND = 0.25
"""The cost of each request in dollars. Its sums are exact."""
ENTITIES = {"user": 4, "team": 3, "org": 2, "key": 2, "end_user": 3, "tag": 3, "project": 2, "agent": 2, "group": 2}
"""How many there are of each kind."""

# The name of one entity of each kind.
Request = dict[str, str]
# The table and the values that identify its row: ids of entities; in a daily table the entity, key and model.
Row = tuple[str, ...]


def name(prefix: str, kind: str, number: int) -> str:
    text = f"{prefix}-{kind}-{number}"
    return hashlib.sha256(text.encode()).hexdigest() if kind == "key" else text


def names(prefix: str, kind: str) -> list[str]:
    return [name(prefix, kind, number) for number in range(ENTITIES[kind])]


def make_request(prefix: str) -> Request:
    return {kind: name(prefix, kind, random.randrange(count)) for kind, count in ENTITIES.items()}


def model_of(request: Request) -> str:
    return f"model-of-{request['org']}"


def charges(requests: Iterable[Request]) -> Counter[Row]:
    """Dollars by row."""
    sums: Counter[Row] = Counter()
    for request in requests:
        for row in _rows(request):
            sums[row] += SPEND
    return sums


def _rows(request: Request) -> list[Row]:
    user, team, org, key = (request[kind] for kind in ("user", "team", "org", "key"))
    return [
        ("LiteLLM_OrganizationTable", org),
        ("LiteLLM_OrganizationMembership", org, user),
        ("LiteLLM_TeamTable", team),
        ("LiteLLM_UserTable", user),
        ("LiteLLM_EndUserTable", request["end_user"]),
        ("LiteLLM_TeamMembership", team, user),
        ("LiteLLM_VerificationToken", key),
        ("LiteLLM_ProjectTable", request["project"]),
        ("LiteLLM_TagTable", request["tag"]),
        ("LiteLLM_ModelAccessGroupBudgetTable", request["group"]),
        ("LiteLLM_AgentsTable", request["agent"]),
        ("LiteLLM_DailyUserSpend", user, key, model_of(request)),
        ("LiteLLM_DailyTeamSpend", team, key, model_of(request)),
        ("LiteLLM_DailyOrganizationSpend", org, key, model_of(request)),
        ("LiteLLM_DailyEndUserSpend", request["end_user"], key, model_of(request)),
        ("LiteLLM_DailyAgentSpend", request["agent"], key, model_of(request)),
        ("LiteLLM_DailyTagSpend", request["tag"], key, model_of(request)),
        ("LiteLLM_DailyModelUsage", model_of(request)),
    ]


def daily_row(entity_column: str, row: Row, spend: float) -> dict[str, object]:
    """The entry of LiteLLM's queues for a row of a daily table."""
    count = round(spend / SPEND)
    return {
        entity_column: row[1],
        "date": DAY,
        "api_key": row[2],
        "model": row[3],
        "model_group": row[3],
        "custom_llm_provider": "openai",
        "mcp_namespaced_tool_name": "",
        "endpoint": "/chat/completions",
        "spend": spend,
        "api_requests": count,
        "successful_requests": count,
        "prompt_tokens": count,
        "completion_tokens": count,
    }


def log_row(request: Request) -> dict[str, object]:
    """The row that LiteLLM logs of a request."""
    entities = {
        "api_key": request["key"],
        "user": request["user"],
        "team_id": request["team"],
        "organization_id": request["org"],
        "end_user": request["end_user"],
        "agent_id": request["agent"],
        "project_id": request["project"],
    }
    return {
        **entities,
        "request": request,
        "request_id": str(uuid.uuid4()),
        "call_type": "acompletion",
        "status": "success",
        "spend": SPEND,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "startTime": f"{DAY}T12:00:00.000000+00:00",
        "model": model_of(request),
        "model_group": model_of(request),
        "custom_llm_provider": "openai",
        "request_tags": json.dumps([request["tag"]]),
        "metadata": json.dumps(
            {
                "status": "success",
                "accounting_entities": entities,
                "accounting_model_access_groups": [request["group"]],
            }
        ),
    }
