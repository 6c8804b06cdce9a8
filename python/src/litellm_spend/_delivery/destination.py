"""Where records go: what libpq takes, and the names that a message may show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

# A shorter secret is a part of ordinary words.
_SHORTEST_REPLACED: Final = 3
_NOT_SHOWN: Final = "the message is not shown, because it may hold a piece of the password"
_QUOTES: Final = "\"'»«“”„"


@dataclass(frozen=True)
class Destination:
    """Where records go. `conninfo` holds the password, so no repr shows it."""

    conninfo: str = field(repr=False)
    schema: str | None = None
    """Prisma's `schema`: the URL's owner expects LiteLLM's tables there."""
    hosts: int = 1
    """The number of hosts that libpq tries one after the other."""
    changes: tuple[str, ...] = ()
    """The changes to the URL, for one log line."""
    unknown: tuple[str, ...] = ()
    """Parameters that were left out because neither Prisma nor libpq knows them, for one warning."""
    places: tuple[str, ...] = ()
    """Each host as `host:port`, or the path of its socket. Empty if they are not known or must not be shown."""
    role: str | None = None
    """The name of the role, unless it must not be shown."""
    database: str | None = None
    """The name of the database, unless it must not be shown."""
    hides_names: bool = False
    """Whether a name may be a piece of a password, so that no message shows names or libpq's own text."""
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """A foreign text without the secrets of this destination.

        A secret of one or two characters is replaced only between quotes. Elsewhere it is a part of ordinary words.
        """
        if self.hides_names:
            return _NOT_SHOWN
        for secret in self._secrets:
            if len(secret) >= _SHORTEST_REPLACED:
                text = text.replace(secret, "***")
            else:
                text = re.sub(f"(?<=[{_QUOTES}]){re.escape(secret)}(?=[{_QUOTES}])", "***", text)
        return text


def place(host: str | None, port: str | None) -> str:
    """A host and a port for a message. A host that begins with a slash is the folder of a socket."""
    port = port or "5432"
    if not host or host.startswith(("/", "@")):
        return f"{host or ''}/.s.PGSQL.{port}" if host else f"the local socket of port {port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def printable(name: str) -> str:
    """A name without the characters that would break a log line."""
    return "".join(character if character.isprintable() else "?" for character in name)
