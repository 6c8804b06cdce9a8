"""One LLM call as it happened, and the two shapes in which LiteLLM reports it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from harness.database import Record

ENDPOINTS = {
    "acompletion": "/chat/completions",
    "completion": "/chat/completions",
    "aembedding": "/embeddings",
    "embedding": "/embeddings",
    "aresponses": "/responses",
    "call_mcp_tool": "",
}
"""The endpoint of each call type. A sync call has the one of its async twin."""


@dataclass(frozen=True)
class Identity:
    """Who is charged. None means "not said"."""

    user: str | None = None
    team: str | None = None
    organization: str | None = None
    project: str | None = None

    def filled_from(self, other: Identity) -> Identity:
        return Identity(
            self.user or other.user,
            self.team or other.team,
            self.organization or other.organization,
            self.project or other.project,
        )


@dataclass(frozen=True)
class Call:
    request_id: str
    call_id: str
    start: datetime
    duration_ms: int
    cost: float
    said: Identity = Identity()
    """Who is charged according to LiteLLM."""
    claimed: Identity = Identity()
    """Who is charged according to the SDK's caller alone: `user=` and `metadata.team_id`."""
    key: str = ""
    """The key as it is sent: a hash, or a raw key."""
    key_hash: str = ""
    end_user: str | None = None
    agent: str | None = None
    call_type: str = "acompletion"
    model: str = "gpt-4o"
    model_group: str = ""
    provider: str = "openai"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    caching_savings: float = 0.0
    tags: tuple[Any, ...] = ()
    access_groups: tuple[str, ...] = ()
    tool_calls: tuple[str, ...] = ()
    mcp_tool: str | None = None
    error_code: str | None = None
    """The error code of a failed call."""
    internal_call_origin: str | None = None
    is_billed_retry: bool = False
    made_outside_proxy: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    """The provider's figures of cached tokens, which providers spell differently."""

    @property
    def failed(self) -> bool:
        return self.error_code is not None

    @property
    def end(self) -> datetime:
        return self.start + timedelta(milliseconds=self.duration_ms)

    @property
    def date(self) -> str:
        """The UTC day of the start, which is not rounded."""
        return self.start.strftime("%Y-%m-%d")

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def group(self) -> str:
        """The model group that is stored."""
        return self.model_group or (self.model if self.made_outside_proxy else "")

    @property
    def status_code(self) -> int:
        """The HTTP status, or 0 where it is not known."""
        return int(self.error_code) if self.error_code and self.error_code.isdigit() else 0

    @property
    def endpoint(self) -> str:
        return ENDPOINTS.get(self.call_type, "")

    @property
    def string_tags(self) -> list[str]:
        return list(dict.fromkeys(tag for tag in self.tags if isinstance(tag, str)))


def spend_logs_row(call: Call) -> Record:
    """The call as a row of LiteLLM's log."""
    record = _common(call) | {
        "request_id": call.request_id,
        "spend": call.cost,
        "startTime": call.start.replace(tzinfo=timezone.utc).isoformat(),
        "endTime": call.end.replace(tzinfo=timezone.utc).isoformat(),
        "request_duration_ms": call.duration_ms,
        "api_key": call.key,
        "user": call.said.user or "",
        "team_id": call.said.team or "",
        "organization_id": call.said.organization or "",
        "end_user": call.end_user or "",
        "mcp_namespaced_tool_name": call.mcp_tool,
        "request_tags": json.dumps(call.tags),
    }
    record["metadata"] |= {
        "litellm_call_id": call.call_id,
        "user_api_key_project_id": call.said.project,
        "internal_call_origin": call.internal_call_origin,
        "billed_retry_attempt": call.is_billed_retry,
        "made_outside_proxy": call.made_outside_proxy,
        "error_information": {"error_code": call.error_code} if call.failed else None,
    }
    return record


def standard_logging_payload(call: Call) -> Record:
    """The call as the callback sees it."""
    record = _common(call) | {
        "id": call.request_id,
        "response_cost": call.cost,
        "startTime": call.start.replace(tzinfo=timezone.utc).timestamp(),
        "endTime": call.end.replace(tzinfo=timezone.utc).timestamp(),
        "user": call.claimed.user,
        "request_tags": list(call.tags),
        "project_id": call.said.project,
        "internal_call_origin": call.internal_call_origin,
        "billed_retry_attempt": call.is_billed_retry,
        "made_outside_proxy": call.made_outside_proxy,
        "error_information": {"error_code": call.error_code or "", "error_class": ""},
    }
    is_hash = call.key == call.key_hash
    record["metadata"] |= {
        "user_api_key_hash" if is_hash else "user_api_key": call.key or None,
        "user_api_key_user_id": call.said.user,
        "user_api_key_team_id": call.said.team,
        "user_api_key_org_id": call.said.organization,
        "user_api_key_end_user_id": call.end_user,
        "team_id": call.claimed.team,
        "mcp_tool_call_metadata": {"namespaced_tool_name": call.mcp_tool} if call.mcp_tool else None,
    }
    return record


def _common(call: Call) -> Record:
    """The fields that both shapes spell alike."""
    status = "failure" if call.failed else "success"
    return {
        "litellm_call_id": call.call_id,
        "call_type": call.call_type,
        "status": status,
        "model": call.model,
        "model_group": call.model_group,
        "custom_llm_provider": call.provider,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "total_tokens": call.total_tokens,
        "agent_id": call.agent,
        "tool_calls": list(call.tool_calls),
        "request_model_access_groups": list(call.access_groups),
        "prompt_caching_savings_spend": call.caching_savings,
        "metadata": {"status": status, "usage_object": call.usage or None},
    }
