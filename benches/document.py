"""The spend record that is measured: the record that the callback sends of one ordinary call, 1.3 kB as JSON text.

It needs no sanitising. Both sides of a comparison get the same record, built in the same way.
"""

from __future__ import annotations

import json

# {n}: the number of the call. {u}: the number of the user, 1000 and up. {t}: that of the team. {m}: that of the model.
_TEMPLATE = {
    "id": "chatcmpl-{n}",
    "litellm_call_id": "0b7f6c1e-52d4-4a86-9e3d-{n}",
    "trace_id": "4a2d90c7-8f15-4e6b-b1c3-7d9e0f2a6b58",
    "call_type": "acompletion",
    "status": "success",
    "startTime": 1772366400.123456,
    "endTime": 1772366401.623456,
    "completionStartTime": 1772366400.723456,
    "response_cost": 0.0009765625,
    "prompt_tokens": 1024,
    "completion_tokens": 256,
    "total_tokens": 1280,
    "model": "gpt-4o-{m}",
    "model_id": "9d3c1f4e7b2a5860d1e4c7f8a9b0d2e35f6a7b8c9d0e1f2a3b4c5d6e7f8091a2",
    "model_group": "gpt-4o",
    "custom_llm_provider": "openai",
    "api_base": "https://api.openai.com",
    "cache_hit": False,
    "request_tags": ["tag-{t}"],
    "requester_ip_address": "10.20.30.40",
    "cost_breakdown": {
        "input_cost": 0.0006510416,
        "output_cost": 0.0003255209,
        "total_cost": 0.0009765625,
        "tool_usage_cost": 0.0,
    },
    "metadata": {
        "user_api_key_hash": "{key}",
        "user_api_key_alias": "production-key",
        "user_api_key_user_id": "user-{u}",
        "user_api_key_team_id": "team-{t}",
        "user_api_key_team_alias": "platform",
        "usage_object": {
            "prompt_tokens": 1024,
            "completion_tokens": 256,
            "total_tokens": 1280,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 512},
            "completion_tokens_details": {
                "audio_tokens": 0,
                "reasoning_tokens": 64,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    },
}
_TEXT = json.dumps(_TEMPLATE, separators=(",", ":"))
_PLACEHOLDERS = ("{n}", "{u}", "{t}", "{m}", "{key}")
FIRST_USER = 1000
TEAMS = 50


def text(n: int, user: int, model: int) -> str:
    """The record of call `n` by the user with that number (FIRST_USER and up), with that model."""
    values = (n, user, user % TEAMS, model, str(user).rjust(64, "a"))
    document = _TEXT
    for placeholder, value in zip(_PLACEHOLDERS, values, strict=True):
        document = document.replace(placeholder, str(value))
    return document


def sql_function() -> str:
    """The SQL that creates `bench.document(n, u, m)`, which returns the record as jsonb."""
    parts = [f"'{part}'" for part in _split()]
    for at, placeholder in enumerate(parts):
        parts[at] = _SQL.get(placeholder.strip("'"), placeholder)
    return (
        "CREATE FUNCTION bench.document(n bigint, u bigint, m bigint) RETURNS jsonb IMMUTABLE LANGUAGE sql "
        f"RETURN pg_catalog.concat({', '.join(parts)})::jsonb"
    )


_SQL = {"{n}": "n", "{u}": "u", "{t}": f"u % {TEAMS}", "{m}": "m", "{key}": "lpad(u::text, 64, 'a')"}


def pgbench_script(statement: str, users: int) -> tuple[str, dict[str, str]]:
    """A pgbench script that runs `statement` with the record of a random call at `{document}`, and its variables.

    The server builds the record from 1.3 kB of parameters, so both sides pay the same for it.
    """
    pieces, variables = [], {}
    of_pgbench = {"{n}": ":n", "{u}": ":u", "{t}": ":t", "{m}": ":m", "{key}": "lpad(:u::text, 64, 'a')"}
    for part in _split():
        if part in of_pgbench:
            pieces.append(f"{of_pgbench[part]}::text")
        else:
            name = f"part{len(variables)}"
            variables[name] = part
            pieces.append(f":{name}::text")
    lines = [
        r"\set n random(1, 1000000000000000000)",
        rf"\set u {FIRST_USER} + random(0, {users - 1})",
        rf"\set t :u % {TEAMS}",
        r"\set m random(0, 9)",
        statement.format(document=f"({' || '.join(pieces)})::jsonb") + ";",
    ]
    return "\n".join(lines) + "\n", variables


def _split() -> list[str]:
    """The template as a list in which literal parts and placeholders take turns."""
    parts = [_TEXT]
    for placeholder in _PLACEHOLDERS:
        parts = [
            piece
            for part in parts
            for piece in ([part] if part in _PLACEHOLDERS else _between(part.split(placeholder), placeholder))
        ]
    return [part for part in parts if part]


def _between(parts: list[str], separator: str) -> list[str]:
    return [piece for part in parts for piece in (part, separator)][:-1]
