"""A daily row has the endpoint that LiteLLM gives the call type."""

from __future__ import annotations

import ast

import pytest

import versions
from conftest import litellm_python
from harness.database import Database
from harness.records import spend_record


def endpoints_of(version: str) -> dict[str, str]:
    """LiteLLM's own map of call types, read from its source: the SDK's environment cannot load all of the proxy."""
    [path] = litellm_python(version).parents[1].glob("lib/python*/site-packages/litellm/proxy/route_llm_request.py")
    for node in ast.parse(path.read_text()).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "ROUTE_ENDPOINT_MAPPING":
            [literal] = [each for each in ast.walk(node) if isinstance(each, ast.Dict)]
            return ast.literal_eval(literal)
    raise AssertionError(f"LiteLLM {version} has no map")


@pytest.mark.parametrize("version", versions.LITELLM)
def test_each_call_type_and_its_sync_twin_have_litellms_endpoint(database: Database, version: str) -> None:
    known = endpoints_of(version)
    twins = {name.removeprefix("a"): endpoint for name, endpoint in known.items() if name.startswith("a")}
    expected = {**twins, **known}
    database.record([spend_record(request_id=f"a {name}", user=name, call_type=name) for name in expected])
    database.wait_folded()
    assert dict(database.query('SELECT user_id, endpoint FROM "LiteLLM_DailyUserSpend"')) == expected


def test_the_newest_litellm_knows_no_other_call_type(database: Database) -> None:
    """A call type that LiteLLM does not map has no endpoint here either."""
    known = endpoints_of(versions.LITELLM[-1])
    others = ["", "call_mcp_tool", "anthropic_messages", "pass_through_endpoint", "aretrieve_vector_store"]
    assert not known.keys() & set(others)
    database.record([spend_record(request_id=f"a {name}", user=f"u {name}", call_type=name) for name in others])
    database.wait_folded()
    assert set(database.query('SELECT endpoint FROM "LiteLLM_DailyUserSpend"')) == {("",)}
