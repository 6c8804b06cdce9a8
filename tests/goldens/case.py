"""The golden cases: what LiteLLM's own writer was given, and what it left in its tables (README.md)."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# The LiteLLM that wrote cases.jsonl; payloads of another release have other fields.
MADE_BY = "1.109.1"
# Every case starts from seed.sql. Its first statement, a TRUNCATE, is run as DELETEs: on nearly empty tables with 150
# indexes they take 3 ms instead of 170.
_TRUNCATE, _ROWS = (FOLDER / "seed.sql").read_text().split(";", maxsplit=1)
_EMPTY = "".join(f"DELETE FROM {table};" for table in re.findall(r'"LiteLLM_\w+"', _TRUNCATE))
SEED = f"BEGIN; SET LOCAL session_replication_role = replica; {_EMPTY} COMMIT; {_ROWS}"
# LiteLLM flushed between these requests. The requests of every other case were one batch.
FLUSHED_APART = {"two_flushes_same_key"}


@dataclass(frozen=True)
class Request:
    """One call of the LiteLLM SDK: what a callback saw, and the SpendLogs rows that LiteLLM wrote for it."""

    payload: dict[str, Any]
    kwargs: dict[str, Any]
    spend_logs: list[dict[str, Any]]

    @property
    def metadata(self) -> dict[str, Any]:
        """The `metadata=` of the call."""
        return self.kwargs["litellm_params"].get("metadata") or {}


@dataclass(frozen=True)
class Golden:
    name: str
    extra_seed: str
    requests: list[Request]
    entity_changes: list[dict[str, Any]]
    rows: dict[str, list[dict[str, Any]]]

    @cached_property
    def changed_tables(self) -> set[str]:
        """The tables in which LiteLLM left rows."""
        return {change["table"] for change in self.entity_changes} | {name for name, rows in self.rows.items() if rows}

    def batches(self, records: list[Any]) -> list[list[Any]]:
        """The records of the case's requests as they are folded."""
        return [[record] for record in records] if self.name in FLUSHED_APART else [records]


def read(raw: dict[str, Any]) -> Golden:
    """Read a case in the form of cases.jsonl."""
    requests = [
        Request(each["standard_logging_object"], each["kwargs_subset"], each["spend_log_payloads"])
        for each in raw["requests"]
    ]
    return Golden(raw["name"], raw["extra_seed"] or "", requests, raw["db_entity_changes"], raw["db_rows"])


_RAW = {line["name"]: line for line in map(json.loads, (FOLDER / "cases.jsonl").read_text().splitlines())}
_CASES = {name: read(line) for name, line in _RAW.items()}
NAMES = list(_CASES)


def raw(name: str) -> dict[str, Any]:
    """A case as cases.jsonl has it, in a new copy."""
    return copy.deepcopy(_RAW[name])


def golden(name: str) -> Golden:
    """A new copy of a case, which the caller may change."""
    return copy.deepcopy(_CASES[name])
