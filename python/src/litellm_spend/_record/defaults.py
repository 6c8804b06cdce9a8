"""Adds what an application sets for all its calls: a team, tags and members of `spend_logs_metadata`.

Each default gives way to what a call says itself. The team is written where a caller's `metadata={"team_id": ...}`
stands, so the row of the call's key decides before it. No request of a LiteLLM proxy gets a default, because its key
says who is charged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .encode import cut

Record = dict[str, Any]


class Defaults:
    """The defaults of a logger. It is false if there are none."""

    def __init__(
        self, team: str | None = None, tags: Sequence[str] = (), metadata: Mapping[str, Any] | None = None
    ) -> None:
        self._team = team
        self._tags = tuple(tags)
        self._metadata: dict[str, Any] = cut(dict(metadata or {}))

    def __bool__(self) -> bool:
        return bool(self._team or self._tags or self._metadata)

    def add_to(self, record: Record) -> None:
        """Adds the defaults to the record of a call that no proxy answered. A second time adds nothing."""
        if record.get("made_outside_proxy") is not True:
            return
        metadata = record.setdefault("metadata", {})
        if self._team and not any(metadata.get(name) for name in ("user_api_key_team_id", "team_id")):
            metadata["team_id"] = self._team
        if self._tags:
            own = record.get("request_tags") or []
            record["request_tags"] = [*own, *(tag for tag in self._tags if tag not in own)]
        if self._metadata:
            own = metadata.get("spend_logs_metadata")
            if own is None or isinstance(own, dict):
                metadata["spend_logs_metadata"] = {**self._metadata, **(own or {})}
