"""One set of requests to a proxy, of many kinds, the same each time: some succeed, and others fail in many ways.

A request's name is its call id, where LiteLLM takes that from the caller.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import provider

from harness.database import Database

from .server import Answer, Proxy

Json = dict[str, Any]


def options(address: str) -> Json:
    """Options of `Proxy` for this traffic, with the provider at that address. A Router tries each call twice."""
    return {
        "models": [
            _model("chat", "openai/gpt-4o", address),
            _model("claude", "anthropic/claude-sonnet-4-5", address),
            _model("behind", "litellm_proxy/gpt-4o", address, input_cost_per_token=1e-3, output_cost_per_token=2e-3),
            _model("flaky", "openai/gpt-4o-mini", address),
            _model("slow", "openai/gpt-4.1-nano", address, timeout=1.5, max_retries=0),
            _model("embed", "openai/text-embedding-3-small", address),
            _model("draw", "openai/dall-e-3", address),
            _model("speak", "openai/tts-1", address),
            _model("rank", "cohere/rerank-english-v3.0", address),
        ],
        "litellm_settings": {
            "cache": True,
            "cache_params": {"type": "local"},
            "num_retries": 1,
            "fallbacks": [{"flaky": ["chat"]}],
            "max_budget": 1000,
            "budget_duration": "30d",
        },
        "general_settings": {
            "pass_through_endpoints": [{"path": "/passed", "target": f"{address}/v1/rerank", "headers": {}}],
        },
        "guardrails": [
            {
                "guardrail_name": "words",
                "litellm_params": {
                    "guardrail": "litellm_content_filter",
                    "mode": "pre_call",
                    "blocked_words": [{"keyword": "forbidden", "action": "BLOCK"}],
                },
            }
        ],
    }


def _model(name: str, served_by: str, address: str, **params: Any) -> Json:
    given = {"model": served_by, "api_base": address, "api_key": "sk-none", **params}
    return {"model_name": name, "litellm_params": given, "model_info": {"id": f"deployment-of-{name}"}}


KEYS: dict[str, Json] = {
    "alice": {"user_id": "alice", "key_alias": "alice's"},
    "member": {"user_id": "alice", "team_id": "team", "key_alias": "a member's"},
    "window": {"user_id": "bob", "budget_limits": [{"budget_duration": "1d", "max_budget": 100}]},
    "plain": {},
    "limited": {"user_id": "bob", "rpm_limit": 1},
    "spent": {"user_id": "bob", "max_budget": 1.0, "spend": 2.0},
    "blocked": {"user_id": "bob", "blocked": True},
    "expired": {"user_id": "bob", "key_alias": "expired"},
}
# The proxy creates these only with a licence.
LICENSED = (
    """INSERT INTO "LiteLLM_BudgetTable"(budget_id, max_budget, created_by, updated_by)
    VALUES ('budget', 1000, '', '')""",
    """INSERT INTO "LiteLLM_OrganizationTable"
    (organization_id, organization_alias, budget_id, models, created_by, updated_by)
    VALUES ('org', 'The Organization', 'budget', '{}', '', '')""",
    """INSERT INTO "LiteLLM_OrganizationMembership"(user_id, organization_id) VALUES ('alice', 'org')""",
    """UPDATE "LiteLLM_TeamTable" SET organization_id = 'org' WHERE team_id = 'team'""",
    """INSERT INTO "LiteLLM_ProjectTable"(project_id, project_alias, team_id, budget_id, created_by, updated_by)
    VALUES ('project', 'The Project', 'team', 'budget', '', '')""",
    """INSERT INTO "LiteLLM_AgentsTable"(agent_id, agent_name, agent_card_params, created_by, updated_by)
    VALUES ('agent', 'The Agent', '{}', '', '')""",
    """UPDATE "LiteLLM_VerificationToken" SET project_id = 'project', metadata = metadata || '{"tags": ["of-key"]}'
    WHERE key_alias = 'a member''s'""",
    """UPDATE "LiteLLM_VerificationToken" SET expires = '2020-01-01' WHERE key_alias = 'expired'""",
)


def secret(key: str) -> str:
    """The key of this name. The proxy does not know a key that is not in `KEYS`."""
    return f"sk-the-key-of-{key}"


def prepare(proxy: Proxy, database: Database) -> None:
    """Create users, a team, an organization, a project, an agent, a tag and keys."""
    for user in ("alice", "bob"):
        proxy.post("/user/new", user_id=user, user_email=f"{user}@example.com", auto_create_key=False)
    members = [{"role": "user", "user_id": "alice"}]
    proxy.post("/team/new", team_id="team", team_alias="The Team", members_with_roles=members)
    proxy.post("/tag/new", name="billed")
    for name, given in KEYS.items():
        proxy.post("/key/generate", key=secret(name), **given)
    for statement in LICENSED:
        database.execute(statement)


@dataclass(frozen=True)
class Request:
    """One request."""

    name: str
    path: str
    body: Json
    key: str = "alice"
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, proxy: Proxy) -> Answer:
        headers = {"x-litellm-call-id": self.name, "User-Agent": "traffic/1.0", **self.headers}
        return proxy.ask("POST", self.path, self.body, key=secret(self.key), headers=headers)


def chat(
    name: str,
    key: str = "alice",
    *,
    model: str = "chat",
    wish: Json | None = None,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> Request:
    """A chat completion. `wish` is for the provider, and the rest goes into the body."""
    body = {"model": model, "messages": provider.ask(id=name, **(wish or {})), **body}
    return Request(name, "/v1/chat/completions", body, key, headers or {})


def responses(name: str, *, model: str = "chat", wish: Json | None = None, **body: Any) -> Request:
    body = {"model": model, "input": provider.ask(id=name, **(wish or {})), **body}
    return Request(name, "/v1/responses", body, "member")


def messages(name: str, *, model: str = "claude", wish: Json | None = None, **body: Any) -> Request:
    body = {"model": model, "max_tokens": 100, "messages": provider.ask(id=name, **(wish or {})), **body}
    return Request(name, "/v1/messages", body, "member")


def embeddings(name: str, *, wish: Json | None = None, **body: Any) -> Request:
    [asked] = provider.ask(id=name, **(wish or {}))
    return Request(name, "/v1/embeddings", {"model": "embed", "input": asked["content"], **body}, "member")


# The least time of a request whose two attempts fail with it.
FAILS_AFTER = 0.3
WHOLE = {"answers": ["whole"]}
# A client may say this of its request.
AS_OF_A_PROXY = {"custom_llm_provider": "litellm_proxy"}
TOOL = {"tool": "look_up"}
HEADERS = {
    "x-litellm-tags": "billed,by-header",
    "x-litellm-spend-logs-metadata": '{"by": "header"}',
    "x-litellm-agent-id": "agent",
    "x-litellm-session-id": "session",
    "x-litellm-num-retries": "0",
}
OWN_METADATA = {"tags": ["billed"], "spend_logs_metadata": {"by": "body"}}
SUCCESSES = (
    chat("chat"),
    chat("chat-of-a-member", "member", user="customer", metadata={"tags": ["billed", "task:coding"]}),
    chat("chat-with-headers", "member", headers=HEADERS),
    chat("chat-with-metadata", metadata={**OWN_METADATA, "trace_id": "trace"}),
    chat("chat-with-litellm-metadata", litellm_metadata=OWN_METADATA),
    chat("chat-of-nobody", "plain", user="stranger", metadata={"team_id": "claimed", "project_id": "project"}),
    chat("chat-in-a-window", "window"),
    chat("chat-cached-tokens", wish={"cached": 1000}),
    chat("chat-tool", wish=TOOL, tools=[{"type": "function", "function": {"name": "look_up", "parameters": {}}}]),
    chat("chat-guarded", guardrails=["words"]),
    chat("chat-stream", wish=WHOLE, stream=True),
    chat("chat-stream-of-a-member", "member", wish=WHOLE, stream=True, stream_options={"include_usage": True}),
    chat("chat-claude", model="claude"),
    chat("chat-of-a-chosen-provider", "member", **AS_OF_A_PROXY),
    chat("chat-retried", model="flaky", wish={"fail": 1}),
    chat("chat-fallback", model="flaky", wish={"fail": 2}),
    responses("responses"),
    responses("responses-stream", wish=WHOLE, stream=True),
    responses("responses-of-claude", model="claude"),
    responses("responses-with-metadata", metadata={"tags": ["ignored"]}, litellm_metadata=OWN_METADATA),
    messages("messages"),
    messages("messages-stream", wish=WHOLE, stream=True),
    messages("messages-of-gpt", model="chat", wish=TOOL),
    messages("messages-with-metadata", metadata={"user_id": "customer"}, litellm_metadata=OWN_METADATA),
    embeddings("embeddings", user="customer"),
    embeddings("embeddings-of-a-chosen-provider", **AS_OF_A_PROXY),
    Request("image", "/v1/images/generations", {"model": "draw", "prompt": "a dot", "size": "1024x1024"}),
    Request("speech", "/v1/audio/speech", {"model": "speak", "input": "hello", "voice": "alloy"}),
    Request("rerank", "/v1/rerank", {"model": "rank", "query": "a", "documents": ["a", "b"]}),
    Request("passed", "/passed", {"query": "a", "documents": ["a"]}),
)
FAILURES = (
    chat("fails-500", wish={"status": 500, "fails_after": FAILS_AFTER}),
    chat("fails-400", wish={"status": 400}),
    embeddings("fails-of-a-chosen-provider", wish={"status": 400}, **AS_OF_A_PROXY),
    chat("fails-429", "member", wish={"status": 429}, metadata=OWN_METADATA),
    chat("fails-fallback-too", model="flaky", wish={"status": 500}),
    chat("fails-timeout", model="slow", wish={"seconds": 4}),
    chat("fails-cut-stream", wish={"answers": ["cut"], "words": 5}, stream=True),
    responses("fails-responses", wish={"status": 500}),
    messages("fails-messages", wish={"status": 500}),
    embeddings("fails-embeddings", wish={"status": 400}),
    chat("fails-unknown-model", model="no-such-model"),
    chat("fails-model-is-a-prompt", model="what is the weather"),
    chat("fails-guardrail", guardrails=["words"], wish={"word": "forbidden"}),
    Request("fails-malformed", "/v1/chat/completions", {"model": "chat"}),
    chat("fails-unknown-key", "unknown", metadata=OWN_METADATA),
    chat("fails-expired-key", "expired", headers=HEADERS),
    chat("fails-blocked-key", "blocked"),
    chat("fails-spent-key", "spent"),
)
# These are sent one after the other, when all others are answered.
IN_ORDER = (
    Request("chat-again", "/v1/chat/completions", chat("chat").body),
    chat("chat-within-the-limit", "limited"),
    chat("fails-limited-key", "limited"),
    # Beside these LiteLLM 1.109 breaks streams of other deployments off.
    chat("chat-of-a-proxy-behind", "member", model="behind"),
    chat("fails-of-a-proxy-behind", model="behind", wish={"status": 400}),
)
UNRECORDED = (chat("no-log", **{"no-log": True}),)


def send(proxy: Proxy) -> dict[str, int]:
    """Send all requests, several at a time. Returns the status of each answer by the request's name."""
    with ThreadPoolExecutor(4) as threads:
        first = (*FAILURES, *SUCCESSES, *UNRECORDED)
        answers = list(threads.map(lambda request: request.send(proxy), first))
    answers += [request.send(proxy) for request in IN_ORDER]
    return {request.name: answer.status for request, answer in zip((*first, *IN_ORDER), answers, strict=True)}
