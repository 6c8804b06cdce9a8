"""A LiteLLM proxy with a ledger (since 1.110): it logs requests with pending deliveries, and its projector charges
LiteLLM's tables with them later. LiteLLM's own code does both, in a process of its own (`ledger_program.py`)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import versions

from .database import Database, Record
from .interpreter import Interpreter
from .program import Program
from .records import spend_record

PROGRAM = Path(__file__).with_name("ledger_program.py")
VERSION = versions.LITELLM[-1]
"""The LiteLLM whose ledger runs."""


class Ledger:
    """A proxy's ledger; one order at a time."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def log(self, *requests: Record) -> None:
        """Log requests, each with a pending delivery, in one transaction, as the proxy does about every 2 s.

        A request is a record in the shape of SpendLogs. It may have a `delivery_id`, and `windows`: the budget
        windows that it adds to, as LiteLLM's proxy names them. A `delivery_id` of None marks the cost of a batch.
        """
        self._order(do="log", requests=[{"delivery_id": uuid.uuid4().hex, **request} for request in requests])
        self._hear("logged")

    def project(self, *, batch_size: int = 500, retry_only: bool | None = None) -> dict[str, Any]:
        """Let the projector charge the pending deliveries in one transaction. Returns its report."""
        self._start_projecting(None, batch_size, retry_only)
        return self._hear("applied")

    @contextmanager
    def projecting(self, hold: str = "charged", *, batch_size: int = 500) -> Iterator[int]:
        """Keep the projector's transaction open meanwhile. It has claimed deliveries (`hold="claimed"`), or has also
        charged the tables (`"charged"`). Yields the number of deliveries. The transaction commits in the end."""
        self._start_projecting(hold, batch_size, None)
        yield self._hear("held")["held"]
        self._order(do="go on")
        result = self._hear("applied")
        assert result["error"] is None, result

    def _start_projecting(self, hold: str | None, batch_size: int, retry_only: bool | None) -> None:
        self._order(do="project", hold=hold, batch_size=batch_size, retry_only=retry_only)

    def _order(self, **what: Any) -> None:
        self._program.stdin.write(json.dumps(what) + "\n")

    def _hear(self, what: str) -> dict[str, Any]:
        for line in self._program.stdout:
            if line.startswith("{"):
                heard = json.loads(line)
                assert what in heard, heard
                return heard
        raise AssertionError(f"the program that runs LiteLLM's ledger has ended: {self._program.log()}")


@contextmanager
def ledger(interpreter: Interpreter, database: Database) -> Iterator[Ledger]:
    """LiteLLM's ledger on this database; the interpreter is that of `VERSION`."""
    with interpreter.start(PROGRAM, url=database.url) as program:
        yield Ledger(program)


def proxy_request(**fields: Any) -> Record:
    """A request that a proxy logs; `fields` replace or add columns of its row."""
    return {"api_key": "", "model_group": "", **spend_record(**fields)}


def deliveries(database: Database, states: Sequence[str] = ("pending", "parked", "applied")) -> list[tuple]:
    """(request, state) of each delivery."""
    return database.query(
        """SELECT request_id, state::text FROM "LiteLLM_SpendLogDelivery"
           WHERE state::text = ANY (%s) ORDER BY request_id, delivery_id""",
        list(states),
    )
