"""Database URLs: what LiteLLM's users have in DATABASE_URL -> what libpq takes.

LiteLLM's URL is Prisma's: it carries parameters that libpq refuses. Those are translated or left out. So is
anything else that libpq does not know, with a warning that names it. No message shows a password.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode

_SCHEME = re.compile(r"(?i)postgres(?:ql)?(?P<driver>\+[a-z0-9_]+)?://")
# Settings of Prisma's pool and engine, some of which LiteLLM's proxy adds. This client keeps one connection and
# prepares no statement.
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
_UNREADABLE = "the database URL cannot be read: percent-encode special characters in user and password"
# A server that is gone without a word is given up after half a minute, connected or not.
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
    """Where records go. `conninfo` holds the password: it is in no repr."""

    conninfo: str = field(repr=False)
    schema: str | None = None
    """Prisma's `schema`: where the URL's owner expects LiteLLM's tables."""
    hosts: int = 1
    """How many hosts libpq tries in turn."""
    changes: tuple[str, ...] = ()
    """What was translated or left out, for one log line."""
    unknown: tuple[str, ...] = ()
    """Parameters that neither Prisma nor libpq knows, left out, for one warning."""
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """`text` without the secrets of this destination."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def resolve(url: str | None) -> Destination:
    """The destination of `url`, or of DATABASE_URL if it is None; raises UrlError."""
    url = url or os.environ.get("DATABASE_URL", "")
    if not url.strip():
        raise UrlError("no database URL: set DATABASE_URL or pass SpendLogger(database_url=...)")
    return translate(url.strip())


def translate(url: str) -> Destination:
    """Translates a URL, or takes libpq's own `key=value` form as it is; raises UrlError."""
    scheme = _SCHEME.match(url)
    if scheme:
        return _translate_url(url, scheme)
    if "://" in url or "=" not in url:
        raise UrlError("the database URL does not begin with postgresql://")
    return _checked(url)


def _translate_url(url: str, scheme: re.Match[str]) -> Destination:
    location, _, query = url[scheme.end() :].partition("?")
    if ("@" in query and "@" not in location) or location.count("@") > 1:
        # The password has a bare "?" in it, and what follows is no parameter; or a bare "@", and that is no host.
        raise UrlError(_UNREADABLE)
    changes = [f"left out the driver {scheme['driver']}"] if scheme["driver"] else []
    schema: str | None = None
    sslaccept: str | None = None
    kept: dict[str, str] = {}
    unknown: list[str] = []
    known = _libpq_keywords()
    # Where the query holds a password, or an "@" that may end one, each unknown name may be a piece of it.
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
        raise UrlError("the database URL's sslaccept is neither strict nor accept_invalid_certs")
    return f"took sslaccept={value} as sslmode={kept['sslmode']}"


def _checked(conninfo: str) -> Destination:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        options = conninfo_to_dict(conninfo)
        added = {**_LIMITS, "application_name": "litellm_spend"}
        complete = make_conninfo(conninfo, **{key: value for key, value in added.items() if key not in options})
    except (ProgrammingError, ValueError):
        # libpq quotes the part that it could not read, which may be the password.
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
    # A password with a bare "?" or "&" in it would show up here as a parameter.
    return f"{key!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,40}", key) else _NOT_SHOWN
