"""Sends one batch: in parts if the server cannot take it whole, and without what the server may have forgotten.

Tells the user what stands in the way, once until a batch is sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from .connection import Connection
from .errors import Recovery, SendTimeout, is_permanent, recovery_from
from .memory_queue import Item
from .outbox import Batch, Outbox
from .outgoing import Outgoing

log = logging.getLogger("litellm_spend")

# The server remembers what it counted for longer than this.
_OLD_SECONDS = 60.0


class Sending:
    def __init__(self, outbox: Outbox, connection: Connection, outgoing: Outgoing) -> None:
        self.connection = connection
        self.outgoing = outgoing
        self.batch_size = outbox.batch_size
        """How many records to send at once. A server that does not answer in time gets half as many."""
        self.is_misconfigured = False
        """Whether the last attempt failed in a way that no waiting fixes."""
        self._outbox = outbox
        self._reported: set[str] = set()

    def check(self) -> None:
        """Tells if the configuration cannot work. Does not connect."""
        try:
            self.connection.check()
            self.outgoing.load()
        except Exception as error:
            self._note_failure(error)

    def send(self, batch: Batch, deadline: Callable[[], float]) -> bool:
        """Sends a batch and reports it to the outbox. Returns False if records were put back. Never raises.

        `deadline()` (monotonic) may become earlier meanwhile.
        """
        self._outbox.sending(time.monotonic())
        try:
            return self._record(batch, deadline)
        finally:
            self._outbox.sending(None)

    def _record(self, batch: Batch, deadline: Callable[[], float]) -> bool:
        """Sends a batch, in parts if the server cannot take it whole. Returns False if records were put back."""
        try:
            self.outgoing.load()
            batch = self._without_forgotten(batch, deadline)
        except Exception as error:
            return self._put_back(batch, error)
        parts = [written] if (written := self._write(batch)) else []
        while parts:
            part = parts.pop()
            sent = batch.part([item for item, _ in part])
            try:
                staged = self.connection.record([text for _, text in part], deadline)
            except Exception as error:
                recovery = recovery_from(error)
                if recovery is Recovery.RETRY or (recovery is Recovery.SHRINK and len(part) == 1):
                    rest = [item for remaining in reversed([*parts, part]) for item, _ in remaining]
                    return self._put_back(batch.part(rest), error)
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                else:
                    self._outbox.settle(sent, refused=True)
                    log.error(
                        "a spend record is lost because the server cannot accept it: %s", self.connection.explain(error)
                    )
            else:
                self._outbox.settle(sent, rejected=max(0, len(part) - staged))
                self._note_success()
        return True

    def _write(self, batch: Batch) -> list[tuple[Item, str]]:
        """The records of a batch with their texts. A record that cannot be written as text is dropped."""
        written = []
        for item in batch.items:
            try:
                text = self.outgoing.write(item.record, is_own=batch.is_own)
            except Exception as error:
                self._outbox.settle(batch.part([item]), refused=True)
                log.error("a spend record is lost because it cannot be written as JSON: %s", type(error).__name__)
                continue
            if text is None:
                self._outbox.settle(batch.part([item]), filtered=True)
            else:
                written.append((item, text))
        return written

    def _without_forgotten(self, batch: Batch, deadline: Callable[[], float]) -> Batch:
        """Sets those records of the spool aside that the server may have counted and forgotten."""
        spool, oldest = self._outbox.spool, time.time() - batch.items[0].captured_at
        if spool is None or not batch.is_spooled or oldest < _OLD_SECONDS:
            return batch
        memory = self.connection.memory_seconds(deadline)
        forgotten = [item for item in batch.items if memory is not None and time.time() - item.captured_at > memory]
        if not forgotten:
            return batch
        path = spool.directory.set_aside(forgotten)
        for item in forgotten:
            self._outbox.settle(batch.part([item]), set_aside=True)
        log.error(
            "%d spend records of the spool are older than litellm_spend.dedupe_window, and the server keeps no log of "
            "requests: they may have been counted already, so they are in %s and are not sent",
            len(forgotten),
            path,
        )
        return batch.part([item for item in batch.items if item not in forgotten])

    def _put_back(self, batch: Batch, error: Exception) -> bool:
        """Keeps records that could not be sent. Always returns False."""
        self._outbox.put_back(batch, self._note_failure(error))
        self.connection.close()
        return False

    def _note_failure(self, error: Exception) -> str:
        """Logs an error, once until a batch is sent. Returns the sentence."""
        reason = self.connection.explain(error)
        self.is_misconfigured = is_permanent(error)
        if isinstance(error, SendTimeout):
            self.batch_size = max(1, self.batch_size // 2)
        kind = getattr(error, "sqlstate", None) or reason
        if kind not in self._reported:
            self._reported.add(kind)
            log.error("cannot record spend: %s. Records are kept and sent again later", reason)
        return reason

    def _note_success(self) -> None:
        self.is_misconfigured = False
        self.batch_size = min(self.batch_size * 2, self._outbox.batch_size)
        if self._reported:
            self._reported.clear()
            log.warning("spend is recorded again")
