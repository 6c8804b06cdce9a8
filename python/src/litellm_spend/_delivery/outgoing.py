"""Finishes a record before it is sent: adds the application's defaults, then calls its `before_send`.

It runs on the sender's thread. Until a record is sent it waits as it was captured, so each attempt to send it starts
from there. A record that waits in the spool has its defaults already, because another process may send it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from .._record.capture import write
from .._record.defaults import Defaults
from .._record.encode import encode
from .._settings import Settings
from .before_send import Filter
from .memory_queue import QueuedRecord

Record = dict[str, Any]


class Outgoing:
    """Finishes the records of one logger."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._defaults = Defaults(
            self._settings.default_team, self._settings.default_tags, self._settings.default_metadata
        )
        self._filter = None if self._settings.before_send is None else Filter(self._settings.before_send)

    def copy_for_child(self) -> Outgoing:
        """The same for a forked child, without locks that a thread of the parent may hold."""
        return Outgoing(self._settings)

    def load(self) -> None:
        """Loads `before_send`, if a variable names it. Raises BeforeSendError if it cannot be loaded."""
        if self._filter is not None:
            self._filter.load()

    def finish(self, record: Record, *, is_own: bool = True) -> Record | None:
        """The record to send; None if `before_send` drops it. Changes `record`.

        `is_own`: whether this process captured the record. The defaults are for no other records.
        """
        if is_own:
            self._defaults.add_to(record)
        return record if self._filter is None else self._filter.apply(record)

    def for_spool(self, queued: QueuedRecord) -> str:
        """The text of a record, with the defaults. Raises an exception if the record cannot be written."""
        text = write(queued)
        if not self._defaults:
            return text
        self._defaults.add_to(record := _read(text))
        return encode(record)

    def write(self, queued: QueuedRecord, *, is_own: bool = True) -> str | None:
        """The text of a record that waited in a queue; None if `before_send` drops it.

        Raises an exception if the record cannot be written. It changes nothing, so a record may be written again.
        """
        text = write(queued)
        if not (self._defaults and is_own) and self._filter is None:
            return text
        record = self.finish(_read(text), is_own=is_own)
        return None if record is None else encode(record)


def _read(text: str) -> Record:
    record: Record = json.loads(text, parse_float=_exact_float, parse_int=_exact_integer)
    return record


def _exact_float(text: str) -> float | Decimal:
    """The number; a Decimal if a float would not be written in the same way."""
    number = float(text)
    return number if float.__repr__(number) == text else Decimal(text)


def _exact_integer(text: str) -> int | Decimal:
    """The number; a Decimal if it is so long that Python reads no integer of it."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)
