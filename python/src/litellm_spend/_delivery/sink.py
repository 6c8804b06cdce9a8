"""Takes the place of the connection of a logger that writes into memory; see `litellm_spend.testing`."""

from __future__ import annotations

from collections.abc import Callable

from ..testing import MemorySink
from .connection import Connection


def texts_of(sink: MemorySink | None) -> list[str] | None:
    """The list to which records are appended; None if there is no sink. Raises ValueError for any other object."""
    if sink is None:
        return None
    if not isinstance(sink, MemorySink):
        raise ValueError("SpendLogger(...): sink must be a litellm_spend.testing.MemorySink")
    return sink._texts


class ToMemory(Connection):
    """Appends the texts of the records to a list. A list's methods are safe in any thread."""

    is_open = True

    def __init__(self, sink: list[str]) -> None:
        super().__init__(None)
        self._sink = sink

    def copy_for_child(self) -> ToMemory:
        return ToMemory(self._sink)

    def check(self) -> None:
        pass

    def record(self, batch: list[str], deadline: Callable[[], float]) -> int:
        self._sink.extend(batch)
        return len(batch)
