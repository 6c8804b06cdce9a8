"""Calls of an application are counted as requests in the gateway's tables. Calls of a proxy are not, because the proxy
counts them itself."""

from __future__ import annotations

from harness.database import Database

from .driving import Sdk

REQUESTS = """SELECT category, route, sum(successful_requests)::int, sum(failed_requests)::int
    FROM "LiteLLM_DailyGatewayRequests" GROUP BY 1, 2"""
STATUS = (
    """SELECT status_code, sum(failed_requests)::int FROM "LiteLLM_DailyGatewayFailedRequests" GROUP BY 1 ORDER BY 1"""
)
DAILY = 'SELECT sum(successful_requests)::int, sum(failed_requests)::int FROM "LiteLLM_DailyUserSpend"'

CALLS = """
litellm.callbacks = [logger := SpendLogger(record_failures=True)]
messages = [{"role": "user", "content": "how often?"}]

def ask(user, reply="once", **others):
    try:
        litellm.completion(model="gpt-4o-mini", messages=messages, mock_response=reply, user=user, **others)
    except Exception:
        pass

ask("plain")
ask("with a key", metadata={"user_api_key": "sk-1", "user_api_key_user_id": "with a key"})
for reply in (
    litellm.RateLimitError("slow", "openai", "gpt-4o-mini"),
    litellm.AuthenticationError("no", "openai", "gpt-4o-mini"),
    litellm.RateLimitError("slow", "openai", "gpt-4o-mini"),
):
    ask("failed", reply)
request = {"url": "http://proxy/chat/completions", "method": "POST", "headers": {}, "body": {}}
ask("claimed", proxy_server_request=request)
# From here on this process looks like a proxy's.
sys.modules["litellm.proxy.proxy_server"] = server = type(sys)("proxy_server")
server.master_key = "sk-2"
ask("claimed", metadata={"user_api_key": "a" * 64})
ask("of a hook")
"""
GROUPS = """SELECT "user", model_group, (metadata ->> 'made_outside_proxy')::bool FROM "LiteLLM_SpendLogs"
    GROUP BY 1, 2, 3 ORDER BY 1"""


def test_an_applications_calls_are_counted_and_a_proxys_are_not(database: Database, litellm: Sdk) -> None:
    litellm.run_code(CALLS, url=database.url)
    database.wait_folded()
    assert database.query(REQUESTS) == [("llm", "sdk", 3, 3)]
    assert database.query(STATUS) == [(401, 1), (429, 2)]
    assert database.query(DAILY) == [(5, 3)]
    outside = [(user, "gpt-4o-mini", True) for user in ("failed", "of a hook", "plain", "with a key")]
    # A proxy's request also does not charge the user that its body names.
    assert database.query(GROUPS) == [("", "", None), *outside]


def test_a_routers_call_counts_once_however_often_it_was_tried(database: Database, litellm: Sdk) -> None:
    succeeded = litellm.run("routing.py", url=database.url).sdk
    database.wait_folded()
    counted = (sum(succeeded.values()), sum(not ok for ok in succeeded.values()))
    assert database.query(REQUESTS) == [("llm", "sdk", *counted)]
    assert database.query(DAILY) == [counted]
    assert sum(failed for _, failed in database.query(STATUS)) == counted[1]
