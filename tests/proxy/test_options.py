"""`litellm_spend.handler` in a proxy's config.yaml takes its options from variables. Defaults are not for a proxy's
requests, because a key says who is charged."""

from __future__ import annotations

from harness.database import Database

from .conftest import MakeProxy
from .server import MODELS, model

HOOKS = """
def before_send(record):
    record["request_tags"] = [*record.get("request_tags", []), "checked"]
    return record
"""
FAILS = model("fails", "openai", 1e-6, 2e-6)
FAILS["litellm_params"]["mock_response"] = "litellm.InternalServerError"


def test_variables_set_the_options_of_the_handler(proxy_database: Database, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(
        proxy_database,
        models=[*MODELS, FAILS],
        litellm_settings={"callbacks": "litellm_spend.handler", "num_retries": 0},
        general_settings={"disable_spend_updates": True},
        modules={"hooks": HOOKS},
        PYTHONPATH=".",
        LITELLM_SPEND_RECORD_FAILURES="on",
        LITELLM_SPEND_DEFAULT_TEAM="default-team",
        LITELLM_SPEND_DEFAULT_TAGS="default",
        LITELLM_SPEND_DEFAULT_METADATA='{"stage": "default"}',
        LITELLM_SPEND_BEFORE_SEND="hooks:before_send",
    )
    with proxy:
        key = proxy.post("/key/generate", user_id="alice")["key"]
        assert proxy.chat(key, metadata={"tags": ["own"]}).status == 200
        assert proxy.chat(key, "fails").status == 500
        proxy_database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2)
    logged = proxy_database.query(
        """SELECT status, "user", coalesce(team_id, ''), request_tags @> '["checked"]', request_tags @> '["default"]',
                  metadata -> 'spend_logs_metadata' ->> 'stage'
           FROM "LiteLLM_SpendLogs" ORDER BY status"""
    )
    assert logged == [
        ("failure", "alice", "", True, False, None),
        ("success", "alice", "", True, False, None),
    ]
