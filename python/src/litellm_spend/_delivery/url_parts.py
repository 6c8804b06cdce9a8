"""Takes a database URL apart where libpq does, and refuses a URL whose parts would hold pieces of a password.

A special character that is not percent-encoded moves a piece of the password to the host, the port or the database.
libpq and the server show these in their messages.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PORTS: Final = re.compile(r"(?:\[[^\]]*\]|[^:\[\],]*)(?::(\d{0,5}))?(?:,|$)")
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
AT_SIGN: Final = "an at sign (%40)"
SLASH: Final = "a slash (%2F)"
PERCENT: Final = "a percent sign (%25)"
SPACE: Final = "a space (%20)"


class UrlError(ValueError):
    """The database URL is missing or cannot be used; the message says what to do, without secrets."""


class Parts(NamedTuple):
    credentials: str | None
    """What stands before the at sign, if there is one."""
    hosts: str
    path: str
    """The slash and the database's name, or nothing."""
    query: str

    def location(self) -> str:
        return ("" if self.credentials is None else f"{self.credentials}@") + self.hosts + self.path


def bare(character: str) -> UrlError:
    """The error for a special character that is not percent-encoded."""
    return UrlError(
        f"the database URL cannot be read: its user or password seems to hold {character}: percent-encode it"
    )


def split(text: str, keywords: frozenset[str]) -> Parts:
    """The parts of what follows `postgresql://`; raises UrlError. `keywords` are the parameters that libpq knows."""
    end = re.search("[@/]", text)
    credentials, rest = (text[: end.start()], text[end.end() :]) if end and end[0] == "@" else (None, text)
    location, _, query = rest.partition("?")
    hosts, slash, path = location.partition("/")
    parts = Parts(credentials, hosts, slash + path, query)
    _refuse_pieces_of_a_password(parts, keywords)
    if not all_ports_are_numbers(hosts):
        raise UrlError(
            "the database URL cannot be read: its port is no number from 1 to 65535: correct it, and percent-encode "
            "special characters in the user and password"
        )
    return parts


def _refuse_pieces_of_a_password(parts: Parts, keywords: frozenset[str]) -> None:
    if parts.credentials is not None:
        if "@" in parts.hosts or "@" in parts.path or _unknown_with_at_sign(parts.query, keywords):
            raise bare(AT_SIGN)
        if any(f"?{keyword}=" in parts.credentials for keyword in keywords):
            raise UrlError(
                "the database URL cannot be read: put a slash before its question mark, or percent-encode the at "
                "signs (%40) after it"
            )
    elif ":" in parts.hosts + parts.path.partition("@")[0] and (
        "@" in parts.path or _unknown_with_at_sign(parts.query, keywords)
    ):
        raise bare(SLASH)


def _unknown_with_at_sign(query: str, keywords: frozenset[str]) -> bool:
    """Whether an at sign stands where no parameter has one, so that it may be the end of a password."""
    return any("@" in piece and piece.partition("=")[0] not in keywords for piece in query.split("&"))


def all_ports_are_numbers(hosts: str) -> bool:
    at = 0
    while at < len(hosts):
        found = _PORTS.match(hosts, at)
        if not found or found.end() == at or (found[1] and not is_port(found[1])):
            return False
        at = found.end()
    return True


def is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 65536


def unreadable(parts: Parts | None) -> UrlError:
    """The error for a URL that libpq refuses. libpq's own message quotes the part, which may be the password."""
    credentials = parts.credentials or "" if parts else ""
    if _NO_ESCAPE.search(credentials) or (parts and _NO_ESCAPE.search(parts.query)):
        return bare(PERCENT)
    if re.search(r"\s", credentials):
        return bare(SPACE)
    if "%" in credentials:
        return bare(PERCENT)  # it stands before two digits, and together they are no UTF-8
    return UrlError("the database URL cannot be read: percent-encode special characters in the user and password")
