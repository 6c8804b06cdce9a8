"""Calls into libpq. Each ends at a deadline, and none runs while another thread forks."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .errors import SendTimeout
from .fork_lock import ForkLock

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn, PGresult

T = TypeVar("T")

# A wait looks this often whether it has to end earlier.
_LOOK_SECONDS: Final = 0.2


def connection_class(library: ForkLock) -> type[psycopg.Connection]:
    """A class of connections that hold `library` while they connect, except while they wait."""
    import psycopg

    class Connection(psycopg.Connection):
        @classmethod
        def _connect_gen(cls, *arguments: Any, **named: Any) -> Any:
            steps: Any = super()._connect_gen(*arguments, **named)
            answer = None
            while True:
                try:
                    with library:
                        wait = steps.send(answer)
                except StopIteration as end:
                    return end.value
                answer = yield wait

    return Connection


def execute(
    server: PGconn,
    statement: bytes,
    parameters: tuple[bytes, ...],
    deadline: Callable[[], float],
    library: ForkLock,
) -> PGresult:
    """Executes one statement. psycopg's own `execute` would wait for ever for a server that does not answer.

    Holds `library` except while it waits.
    """
    from psycopg import OperationalError, errors, pq

    def locked(call: Callable[[], T]) -> T:
        with library:
            return call()

    with library:
        # The psycopg 3.1 of wheels takes no tuple.
        server.send_query_params(statement, list(parameters) or None)
    while locked(server.flush):
        _wait(server, selectors.EVENT_READ | selectors.EVENT_WRITE, deadline)
        locked(server.consume_input)
    last: PGresult | None = None
    while True:
        while locked(server.is_busy):
            _wait(server, selectors.EVENT_READ, deadline)
            locked(server.consume_input)
        result = locked(server.get_result)
        if result is None:
            break
        last = result
    if last is not None and last.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return last
    state = last.error_field(pq.DiagnosticField.SQLSTATE) if last is not None else None
    if state is None:
        raise OperationalError("the server closed the connection")
    try:
        kind = errors.lookup(state.decode())
    except KeyError:
        kind = type("UnknownError", (OperationalError,), {"sqlstate": state.decode()})
    raise kind("the server refused the call")


def _wait(server: PGconn, events: int, deadline: Callable[[], float]) -> None:
    """Waits until the socket is ready, and raises SendTimeout at the deadline."""
    with _Selector() as selector:
        selector.register(server.socket, events)
        while not selector.select(min(_LOOK_SECONDS, max(0.0, deadline() - time.monotonic()))):
            if time.monotonic() >= deadline():
                raise SendTimeout


# Unlike the default one, this selector opens no file for each wait.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
