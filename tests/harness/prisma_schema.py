"""The tables that a release of LiteLLM wants, read from its schema.prisma."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from .postgres import PROJECT, make_tool

# Postgres' names of the types that LiteLLM's models use.
TYPES = {
    "String": "text",
    "Int": "integer",
    "BigInt": "bigint",
    "Float": "double precision",
    "Boolean": "boolean",
    "Json": "jsonb",
    "DateTime": "timestamp(3) without time zone",
}
_BLOCK = re.compile(r"^(model|enum) (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s+(\w+)\s+(\w+)(\[\])?(\?)?(.*)$")
_DEFAULT = re.compile(r"@default\s*\(((?:[^()]|\(\))*)\)")


@dataclass
class Model:
    columns: dict[str, tuple[str, bool, str | None]] = field(default_factory=dict)
    """By name: type, whether it may be null, the database's default without its type."""
    key: tuple[str, ...] = ()
    """The primary key's columns."""
    indexes: set[tuple[bool, tuple[str, ...]]] = field(default_factory=set)
    """Whether it is unique, and its columns."""


@cache
def schema_of(version: str) -> tuple[dict[str, Model], dict[str, list[str]]]:
    """The models and the enums of a LiteLLM, whose environment is created at first use."""
    make_tool(f"litellm-{version}")
    [path] = PROJECT.glob(f".build/venv-litellm-{version}/lib/python*/site-packages/litellm/proxy/schema.prisma")
    blocks = [match.groups() for match in _BLOCK.finditer(path.read_text())]
    enums = {name: body.split() for kind, name, body in blocks if kind == "enum"}
    return {name: _model(body, enums) for kind, name, body in blocks if kind == "model"}, enums


def _model(body: str, enums: dict[str, list[str]]) -> Model:
    model = Model()
    names: dict[str, str] = {}
    for line in body.splitlines():
        text = line.split("//")[0].rstrip()
        if match := _FIELD.match(text):
            name, kind, many, optional, rest = match.groups()
            if kind not in TYPES and kind not in enums:
                continue  # a relation
            mapped = re.search(r'@map\("(\w+)"\)', rest)
            names[name] = column = mapped[1] if mapped else name
            of_type = TYPES.get(kind, f'"{kind}"') + ("[]" if many else "")
            # Prisma reads a list that is null as an empty one, and makes its column nullable.
            model.columns[column] = (of_type, bool(optional or many), _default(rest))
            if "@id" in rest:
                model.key = (column,)
            if "@unique" in rest:
                model.indexes.add((True, (column,)))
        elif match := re.match(r"^\s+@@(id|unique|index)\(\[([^\]]*)\]", text):
            columns = tuple(names[part.split("(")[0].strip()] for part in match[2].split(","))
            if match[1] == "id":
                model.key = columns
            else:
                model.indexes.add((match[1] == "unique", columns))
    return model


def _default(rest: str) -> str | None:
    """The default that the database fills in. Prisma's client makes uuids itself."""
    match = _DEFAULT.search(rest)
    if match is None or match[1] == "uuid()":
        return None
    if match[1] == "now()":
        return "CURRENT_TIMESTAMP"
    return "ARRAY[]" if match[1] == "[]" else match[1].strip('"')
