"""Which calls a proxy counts itself. The callback must not mark them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from litellm_spend._record.capture import spend_record

PAYLOAD = {"id": "r", "response_cost": 1.0, "startTime": 0.0, "model": "gpt-4o"}
REQUEST = {"url": "http://proxy/v1/chat/completions", "method": "POST", "headers": {}, "body": {}}


@pytest.fixture
def with_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ModuleType("litellm.proxy.proxy_server")
    server.master_key = "sk-1"
    monkeypatch.setitem(sys.modules, server.__name__, server)


def mark(**params: Any) -> Any:
    record = spend_record({"standard_logging_object": PAYLOAD, "litellm_params": params})
    assert record is not None
    return record.get("made_outside_proxy")


def test_a_call_of_an_application_is_marked_whatever_identity_it_names() -> None:
    assert mark() is True
    assert mark(metadata={"user_api_key": "sk-1", "user_api_key_user_id": "u"}) is True
    assert mark(proxy_server_request=None, litellm_metadata={"user_api_key_team_id": "t"}) is True


def test_a_request_of_a_proxy_is_not_marked() -> None:
    assert mark(proxy_server_request=REQUEST) is None


@pytest.mark.usefixtures("with_proxy")
@pytest.mark.parametrize("name", ["metadata", "litellm_metadata"])
@pytest.mark.parametrize("key", ["a" * 64, None])
def test_in_a_proxys_process_the_key_tells_a_request_without_its_http_request(name: str, key: str | None) -> None:
    assert mark(**{name: {"user_api_key": key}}) is None


@pytest.mark.usefixtures("with_proxy")
def test_a_call_that_a_proxys_hook_makes_on_its_own_is_marked() -> None:
    assert mark() is True
    assert mark(metadata={"user_api_key_user_id": "u"}, litellm_metadata=None) is True


def test_a_proxy_that_an_integration_has_loaded_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ModuleType("litellm.proxy.proxy_server")
    server.general_settings, server.prisma_client = {}, None
    monkeypatch.setitem(sys.modules, server.__name__, server)
    record = spend_record(
        {"standard_logging_object": PAYLOAD, "user": "alice", "litellm_params": {"metadata": {"user_api_key": "k"}}}
    )
    assert record is not None and (record["made_outside_proxy"], record["user"]) == (True, "alice")
