"""Random calls of every kind that LiteLLM reports. The same seed makes the same calls."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from random import Random

from harness.database import Record

from . import world
from .call import ENDPOINTS, Call, Identity, spend_logs_row, standard_logging_payload
from .world import PLAIN, SCALES, Key, Scale

DAYS = 5
MODELS = {
    "gpt-4o": ("openai", ""),
    "gpt-4o-mini": ("openai", "small"),
    "claude-sonnet": ("anthropic", "clever"),
    "bedrock/titan": ("bedrock", ""),
    "": ("", ""),
}
"""model: provider, model group. Each model has one group, because a daily row keeps the first group."""
TAGS = ["blue", "green", "task:classification", "task:unheard-of", "User-Agent: curl", "ünïcode-标签"]
TOOLS = ["get_weather", "search", " search ", "run"]
# These are in units of a scale.
COSTS = [0.0, 0.25, 12.5, -0.75]
EXACT_COSTS = [*COSTS, 2.0**-9, 1e9, -1e9]
"""Costs of the scale PLAIN. All their sums are exact."""
SHARE_OF_PLAIN = 0.7


def first_day() -> datetime:
    """Midnight some days ago, within every budget window."""
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return today - timedelta(days=DAYS)


def random_calls(random: Random, count: int, first_day: datetime, scales: list[Scale] = SCALES) -> list[Call]:
    """`count` calls with different call ids. Some share a request id, and most are of the first scale."""
    calls: list[Call] = []
    for number in range(count):
        plain, *others = scales
        scale = random.choice(others) if others and random.random() > SHARE_OF_PLAIN else plain
        call = _in_scale(random, _random_call(random, number, first_day), scale)
        reusable = calls and not call.failed and random.random() < 0.01
        if reusable:
            # Some servers give every answer the same id.
            earlier = random.choice(calls)
            call = replace(call, request_id=earlier.request_id) if not earlier.failed else call
        calls.append(call)
    return calls


def record_of(call: Call, random: Random) -> Record:
    """The call in either shape. Only one of them has a place for the claims of the SDK's caller."""
    claims = call.claimed != Identity()
    return standard_logging_payload(call) if claims or random.random() < 0.5 else spend_logs_row(call)


def _random_call(random: Random, number: int, first_day: datetime) -> Call:
    model = random.choice(list(MODELS))
    provider, group = MODELS[model]
    failed = random.random() < 0.08
    call = Call(
        request_id=f"call-{number}" if failed else f"request-{number}",
        call_id=f"call-{number}",
        start=_random_start(random, first_day),
        duration_ms=random.choice([0, 1, 250, 1500, 60_000, -20]),
        cost=0.0,
        end_user=_maybe(random, world.END_USERS),
        agent=_maybe(random, world.AGENTS),
        call_type=random.choice(list(ENDPOINTS)),
        model=model,
        model_group=group,
        provider=provider,
        prompt_tokens=random.choice([0, 7, 1000, 3_000_000_000]) if random.random() < 0.3 else 20,
        completion_tokens=random.choice([0, 5, 900]),
        tags=tuple(random.choices(TAGS, k=random.randrange(4))) + ((7, None) if random.random() < 0.05 else ()),
        access_groups=tuple(random.choices(world.ACCESS_GROUPS, k=random.randrange(3))),
        tool_calls=tuple(random.choices(TOOLS, k=random.choice([0, 0, 0, 1, 3]))),
        mcp_tool=_maybe(random, ["files-read", "files-write"], 0.1),
        error_code=random.choice(["429", "500", "503", "no number", ""]) if failed else None,
        internal_call_origin="judge" if random.random() < 0.05 else None,
        is_billed_retry=random.random() < 0.05,
        made_outside_proxy=random.random() < 0.5,
    )
    return _with_cached_tokens(random, _with_identity(random, call))


def _in_scale(random: Random, call: Call, scale: Scale) -> Call:
    """The call with a cost of that scale, and with its names."""
    costs = EXACT_COSTS if scale is PLAIN else COSTS
    key = scale.key(Key(call.key))
    return replace(
        call,
        cost=0.0 if call.failed else scale.amount(random.choice(costs)),
        said=scale.identity(call.said),
        claimed=scale.identity(call.claimed),
        key=key.sent if call.key else "",
        key_hash=key.hash if call.key else "",
        end_user=scale.named(call.end_user),
        agent=scale.named(call.agent),
        model=call.model + scale.suffix,
        tags=tuple(scale.named(tag) if isinstance(tag, str) else tag for tag in call.tags),
        access_groups=scale.named(call.access_groups),
        tool_calls=scale.named(call.tool_calls),
        mcp_tool=scale.named(call.mcp_tool),
    )


def _random_start(random: Random, first_day: datetime) -> datetime:
    if random.random() < 0.02:
        # The log rounds this start into the next day. The daily rows keep it in its own day.
        return first_day + timedelta(days=random.randrange(1, DAYS), microseconds=-400)
    return first_day + timedelta(milliseconds=random.randrange(DAYS * 86_400_000))


def _with_identity(random: Random, call: Call) -> Call:
    """The identities that LiteLLM's proxy names (with or without a key), those that it leaves to the key's row, and
    those that an SDK without a proxy names."""
    key = random.choice(world.KEYS)
    keyed = replace(call, key=key.sent, key_hash=key.hash)
    said = Identity(
        _maybe(random, world.USERS, 0.8),
        _maybe(random, world.TEAMS),
        _maybe(random, world.ORGANIZATIONS),
        _maybe(random, world.PROJECTS),
    )
    claimed = Identity(_maybe(random, world.USERS), _maybe(random, world.TEAMS))
    of_proxy = said.filled_from(world.resolved(key.hash)) if key.row and key.row.user else said
    kinds = [
        lambda: replace(call, said=said),
        lambda: replace(keyed, said=of_proxy),
        lambda: keyed,
        lambda: replace(keyed, claimed=claimed),
        lambda: replace(call, claimed=claimed),
    ]
    return random.choices(kinds, weights=[3, 4, 2, 1, 1])[0]()


def _with_cached_tokens(random: Random, call: Call) -> Call:
    """One of the ways in which providers report cached tokens. The savings may be negative."""
    if call.failed or random.random() < 0.7:
        return call
    read, written = random.randrange(1, 500), random.randrange(1, 500)
    ways = [
        {"cache_read_input_tokens": read, "cache_creation_input_tokens": written},
        {"prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written}},
        {
            "cache_read_input_tokens": 0,
            "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": written},
        },
    ]
    return replace(
        call,
        usage=random.choice(ways),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        caching_savings=random.choice([0.125, -0.0625]),
    )


def _maybe(random: Random, names: list[str], probability: float = 0.5) -> str | None:
    return random.choice(names) if random.random() < probability else None
