"""Reads the message of a connection that failed. With several hosts it tells a cause for each of them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .causes import CAUSES, UNREACHED, Cause
from .destination import Destination, place, printable

# psycopg lists its attempts, and libpq names the host of each line. psycopg 3.1 leaves out the host of the first line.
_ATTEMPT: Final = re.compile(r"^- host: (?:'([^']*)'|None), port: (?:'([^']*)'|None), hostaddr: (?:'[^']*'|None): ")
_SERVER: Final = re.compile(
    r'^connection to server (?:at "([^"]*)"(?: \([^)]*\))?, port (\d+)|on socket "([^"]*)") failed: '
)
_PSYCOPGS: Final = re.compile(r"^(?:connection (?:failed|is bad): )+")
_BEGINNINGS: Final = ("connection failed", "connection is bad", "connection timeout", "failed to resolve host")
_SEVERAL: Final = "Multiple connection attempts failed"
_RESOLVED: Final = re.compile(r"^failed to resolve host '([^']*)'|^could not translate host name \"([^\"]*)\"")
_SEVERITY: Final = re.compile(r"^(?:FATAL|ERROR|PANIC):\s+")
_ALL: Final = (*CAUSES, *UNREACHED)


class Attempt(NamedTuple):
    """What came of one host."""

    place: str | None
    text: str
    cause: Cause | None
    """None if the message is in no language that is known here."""

    def rank(self) -> int:
        # A server that said something unknown comes before a host that nobody reached.
        return 2 * _ALL.index(self.cause) if self.cause else 2 * len(CAUSES) - 1


def attempts_in(message: str, destination: Destination | None) -> list[Attempt]:
    """One attempt for each host, the one whose advice helps most first."""
    found: dict[str | None, Attempt] = {}
    for where, text in _texts(message, destination):
        cause = next((cause for cause in _ALL if cause.pattern.search(text)), None)
        attempt = Attempt(where, text, cause)
        if where not in found or attempt.rank() < found[where].rank():
            found[where] = attempt
    return sorted(found.values(), key=Attempt.rank)


def is_permanent(message: str, needs_password: bool) -> bool:
    """Whether each of the hosts has a cause that no waiting fixes."""
    attempts = attempts_in(message, None)
    if len(attempts) == 1 and needs_password:
        return True
    return bool(attempts) and all(attempt.cause is not None and attempt.cause.is_permanent for attempt in attempts)


def is_one(message: str) -> bool:
    """Whether psycopg writes such a message for a connection that failed, and not for one that broke later."""
    return message.startswith(_BEGINNINGS)


def explain(message: str, needs_password: bool, destination: Destination | None) -> str:
    """Tells in one sentence why the connection failed, and what to do."""
    first, *others = attempts_in(message, destination) or [Attempt(None, "", None)]
    if first.cause is None and needs_password and not others:
        first = first._replace(cause=CAUSES[0])  # in every language
    sentence = _sentence(first, destination)
    if others:
        told = (f"{_name(attempt, destination)} ({_short(attempt, destination)})" for attempt in others)
        sentence += f"; the other hosts failed too: {', '.join(told)}"
    return sentence


def _texts(message: str, destination: Destination | None) -> list[tuple[str | None, str]]:
    """The host of each attempt with what was said. The lines that only comment on it are left out."""
    places = destination.places if destination else ()
    texts: list[tuple[str | None, str]] = []
    lines = message.splitlines()
    several = next((at for at, line in enumerate(lines) if line.startswith(_SEVERAL)), None)
    for line in lines if several is None else lines[several + 1 :]:
        where: str | None = None
        if attempt := _ATTEMPT.match(line):
            where, line = place(attempt[1], attempt[2]), line[attempt.end() :]
        line = _PSYCOPGS.sub("", line)
        if server := _SERVER.match(line):
            where = where or server[3] or place(server[1], server[2])
            line = line[server.end() :]
        elif where is None and (resolved := _RESOLVED.match(line)):
            named = resolved[1] or resolved[2]
            where = next((known for known in places if known.rpartition(":")[0] == named), named)
        elif where is None and texts:
            if not line.startswith("\t") and line.strip():  # a DETAIL, or the rest of an error of OpenSSL
                texts[-1] = (texts[-1][0], f"{texts[-1][1]};\n{line}")
            continue
        texts.append((where, line))
    if len(places) == 1:
        return [(places[0], text) for _, text in texts]
    if texts and texts[0][0] is None and places:
        # A timeout of psycopg 3.1 is one for all hosts.
        is_of_all = len(texts) == 1 and texts[0][1].startswith("connection timeout")
        texts[0] = (", ".join(places) if is_of_all else places[0], texts[0][1])
    return texts


def _tidy(line: str) -> str:
    return printable(_SEVERITY.sub("", " ".join(line.split()))).rstrip(" .:;")


def _sentence(attempt: Attempt, destination: Destination | None) -> str:
    text = _shown(attempt.text, destination)
    if attempt.cause is None:
        return f"the connection to {_name(attempt, destination)} failed: {text or 'libpq tells no cause'}"
    role = destination.role if destination else None
    database = destination.database if destination else None
    names = {
        "at": _at(attempt, destination),
        "host": _name(attempt, destination),
        "role": f'role "{role}"' if role else "the role of the database URL",
        "database": f'database "{database}"' if database else "the database of the database URL",
        "login": f"ALTER ROLE {identifier(role)} LOGIN",
        "connect": f"GRANT CONNECT ON DATABASE {identifier(database)} TO {identifier(role)}",
        "text": text.partition("; ")[0],
    }
    found = attempt.cause.pattern.search(attempt.text)
    return attempt.cause.advice.format(**names, **(found.groupdict() if found else {}))


def _at(attempt: Attempt, destination: Destination | None) -> str:
    name = _name(attempt, destination)
    return f"on the socket {name}" if name.startswith("/") else f"at {name}"


def _name(attempt: Attempt, destination: Destination | None) -> str:
    hides = destination is not None and destination.hides_names
    return attempt.place if attempt.place and not hides else "the host of the database URL"


def _short(attempt: Attempt, destination: Destination | None) -> str:
    return attempt.cause.short if attempt.cause else _shown(attempt.text, destination)


def _shown(text: str, destination: Destination | None) -> str:
    return _tidy(destination.redact(text) if destination else text)


def identifier(name: str | None) -> str:
    if name is None:
        return "..."
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
