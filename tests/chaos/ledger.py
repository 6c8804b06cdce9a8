"""What a writer knows about its own batches: the client's side of the truth."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from harness.records import spend_record

MOST_RECORDS = 20


class Fate(enum.Enum):
    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"
    ROLLED_BACK = "rolled back"
    PREPARED = "prepared"


@dataclass
class Batch:
    """The records of one transaction, which have their own user, team and tag.

    Record number k costs 2^k. Each sum therefore shows which records it holds, and no loss hides a double.
    """

    name: str
    kept: int
    undone: int = 0
    fate: Fate = Fate.UNKNOWN
    resent: bool = False
    records: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [
            spend_record(
                request_id=f"{self.name}-{number}",
                spend=float(2**number),
                user=self.name,
                team_id=self.name,
                request_tags=[self.name],
            )
            for number in range(self.kept + self.undone)
        ]

    @property
    def kept_records(self) -> list[dict[str, Any]]:
        return self.records[: self.kept]

    @property
    def undone_records(self) -> list[dict[str, Any]]:
        """The records that are staged after a savepoint and rolled back to it."""
        return self.records[self.kept :]

    @property
    def spend(self) -> float:
        return float(2**self.kept - 1)
