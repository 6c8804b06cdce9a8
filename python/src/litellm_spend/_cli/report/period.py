"""The days that a report covers. A day is a UTC day, as in LiteLLM's daily tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from ..database import Problem

_DAYS = {"d": 1, "w": 7}
_MOST_DAYS = 3660


@dataclass(frozen=True)
class Period:
    """From the first day to the last, both included."""

    first: date
    last: date

    @classmethod
    def since(cls, text: str, today: date | None = None) -> Period:
        """`7d`: today and the six days before; `4w`: 28 days; or the first day itself. Raises Problem."""
        last = today or datetime.now(timezone.utc).date()
        if match := re.fullmatch(r"(\d{1,5})([dw])", text):
            days = int(match[1]) * _DAYS[match[2]]
            if 1 <= days <= _MOST_DAYS:
                return cls(last - timedelta(days=days - 1), last)
        elif re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            try:
                first = date.fromisoformat(text)
            except ValueError:
                first = last + timedelta(days=1)
            if first <= last < first + timedelta(days=_MOST_DAYS):
                return cls(first, last)
        raise Problem(f"--since cannot be {text}: say 7d, 4w, or a day of the last ten years such as {last:%Y-%m}-01")

    def days(self) -> list[str]:
        """Each day of the period, as the tables write it."""
        return [(self.first + timedelta(days=day)).isoformat() for day in range((self.last - self.first).days + 1)]

    def __str__(self) -> str:
        return f"{self.first} to {self.last} (UTC)" if self.first != self.last else f"{self.first} (UTC)"
