"""The installed packages that the callback needs."""

from __future__ import annotations

import re
import sys
from importlib import metadata

from ..._delivery.errors import explain
from .finding import Finding, ok, problem, unknown

TESTED_LITELLM = ("1.79.0", "1.109.1", "1.110.2")
"""The releases that this package is tested with, oldest first."""
WITHDRAWN_LITELLM = ("1.82.7", "1.82.8", "1.107.0")
"""Releases that were compromised and taken off PyPI."""


def check_litellm() -> Finding:
    try:
        version = metadata.version("litellm")
    except metadata.PackageNotFoundError:
        return problem("LiteLLM", f"not installed for {sys.executable}: run pip install 'litellm>={_short_oldest()}'")
    return judge_litellm(version)


def judge_litellm(version: str) -> Finding:
    """What is known of a version of LiteLLM."""
    oldest, newest = TESTED_LITELLM[0], TESTED_LITELLM[-1]
    number = release(version)
    if number in map(release, WITHDRAWN_LITELLM):
        return problem(
            "LiteLLM",
            f"{version} is a compromised release that was taken off PyPI: install another one, "
            "and replace every key and password that this machine could read",
        )
    if number < release(oldest):
        return problem("LiteLLM", f"{version} is too old: run pip install 'litellm>={_short_oldest()}'")
    if version in TESTED_LITELLM:
        return ok("LiteLLM", f"{version}, a tested version")
    if number < release(newest):
        return ok("LiteLLM", f"{version}, between the tested versions {oldest} and {newest}")
    return unknown(
        "LiteLLM",
        f"{version} is newer than the newest tested version {newest}: compare the first records with LiteLLM's costs",
    )


def check_psycopg() -> Finding:
    try:
        import psycopg
    except ImportError as error:
        return problem("psycopg", explain(error))
    number = psycopg.pq.version()
    return ok("psycopg", f"{psycopg.__version__} ({psycopg.pq.__impl__}) with libpq {number // 10000}.{number % 10000}")


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, to be compared; empty if it begins with none."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _short_oldest() -> str:
    return TESTED_LITELLM[0].rsplit(".", 1)[0]
