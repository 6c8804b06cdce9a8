"""Translates a database URL, as LiteLLM's users have it in DATABASE_URL, to what libpq takes.

LiteLLM's URL is Prisma's. It has parameters that libpq refuses, so they are translated or left out. Any other
parameter that libpq does not know is left out too, with a warning that names it. No message shows a password.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode

_SCHEME = re.compile(r"(?i)postgres(?:ql)?(?P<driver>\+[a-z0-9_]+)?://")
# Settings of Prisma's pool and engine. LiteLLM's proxy adds some of them. This client keeps one connection and
# prepares no statement, so it needs none of them.
_IGNORED = (
    "connection_limit",
    "pool_timeout",
    "pgbouncer",
    "socket_timeout",
    "statement_cache_size",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "single_use_connections",
)
_SECRETS = ("password", "sslpassword")
_NOT_SHOWN = "(a name that is not shown)"
_UNREADABLE = "the database URL cannot be read: percent-encode special characters in the user and password"
# The client gives up after half a minute, connected or not, if a server does not answer any more.
_LIMITS = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class UrlError(ValueError):
    """The database URL is missing or cannot be used; the message says what to do, without secrets."""


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
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """`text` without the secrets of this destination."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def resolve(url: str | None) -> Destination:
    """The destination of `url`, else of LITELLM_SPEND_DATABASE_URL, else of DATABASE_URL; raises UrlError."""
    url = url or os.environ.get("LITELLM_SPEND_DATABASE_URL") or os.environ.get("DATABASE_URL", "")
    if not url.strip():
        raise UrlError("no database URL: set DATABASE_URL or pass SpendLogger(database_url=...)")
    return translate(url.strip())


def translate(url: str) -> Destination:
    """Translates a URL, or keeps libpq's own `key=value` form as it is; raises UrlError."""
    scheme = _SCHEME.match(url)
    if scheme:
        return _translate_url(url, scheme)
    if "://" in url or "=" not in url:
        raise UrlError("the database URL does not begin with postgresql://: correct it")
    return _checked(url)


def _translate_url(url: str, scheme: re.Match[str]) -> Destination:
    location, _, query = url[scheme.end() :].partition("?")
    if ("@" in query and "@" not in location) or location.count("@") > 1:
        # Either the password has a bare "?" in it, and no parameter follows, or a bare "@", and no host follows.
        raise UrlError(_UNREADABLE)
    changes = [f"left out the driver {scheme['driver']}"] if scheme["driver"] else []
    schema: str | None = None
    sslaccept: str | None = None
    kept: dict[str, str] = {}
    unknown: list[str] = []
    known = _libpq_keywords()
    # If the query holds a password, or an "@" that may end one, each unknown name may be a part of the password.
    parameters = parse_qsl(query, keep_blank_values=True)
    may_be_secret = "@" in query or any(key in _SECRETS for key, _ in parameters)
    for key, value in parameters:
        if key == "schema":
            schema = value
        elif key == "sslaccept":
            sslaccept = value
        elif key in _IGNORED:
            changes.append(f"left out {key}")
        elif known and key not in known:
            unknown.append(_NOT_SHOWN if may_be_secret else _shown(key))
        else:
            kept[key] = value
    if schema is not None:
        changes.append("left out schema (the server's litellm_spend.target_schema decides)")
    if sslaccept is not None:
        changes.append(_translate_sslaccept(sslaccept, kept))
    query = urlencode(kept, quote_via=quote)
    conninfo = f"postgresql://{location}" + (f"?{query}" if query else "")
    destination = _checked(conninfo)
    shown = tuple(name if name == _NOT_SHOWN else destination.redact(name) for name in unknown)
    return replace(destination, schema=schema or None, changes=tuple(changes), unknown=shown)


def _translate_sslaccept(value: str, kept: dict[str, str]) -> str:
    if value == "accept_invalid_certs":
        kept.setdefault("sslmode", "require")
    elif value == "strict":
        if kept.get("sslmode") not in ("verify-ca", "verify-full"):
            kept["sslmode"] = "verify-full"
        if _libpq_version() >= 160000:
            kept.setdefault("sslrootcert", "system")
    else:
        raise UrlError("the database URL's sslaccept must be strict or accept_invalid_certs: correct it")
    return f"read sslaccept={value} as sslmode={kept['sslmode']}"


def _checked(conninfo: str) -> Destination:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        options = conninfo_to_dict(conninfo)
        added = {**_LIMITS, "application_name": "litellm_spend"}
        complete = make_conninfo(conninfo, **{key: value for key, value in added.items() if key not in options})
    except (ProgrammingError, ValueError):
        # libpq's message quotes the part that it could not read, which may be the password.
        raise UrlError(_UNREADABLE) from None
    secrets: dict[str, None] = {}
    for key in _SECRETS:
        if secret := options.get(key):
            secrets[str(secret)] = secrets[quote(str(secret), safe="")] = None
    if written := re.match(r"(?i)postgres\w*://[^/@]*?:([^/]*)@", conninfo):
        secrets[written[1]] = secrets[unquote(written[1])] = None
    ordered = sorted(filter(None, secrets), key=len, reverse=True)
    hosts = str(options.get("host") or options.get("hostaddr") or "").count(",") + 1
    return Destination(complete, hosts=hosts, _secrets=tuple(ordered))


def _libpq_keywords() -> frozenset[str]:
    import psycopg

    return frozenset(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults())


def _libpq_version() -> int:
    import psycopg

    return psycopg.pq.version()


def _shown(key: str) -> str:
    # A part of a password with a bare "?" or "&" in it would be a parameter here.
    return f"{key!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,40}", key) else _NOT_SHOWN
