"""Builds one spend record from one LiteLLM event, as a pure function of what LiteLLM passes to a callback.

It works in two steps, because LiteLLM waits for the first one. `take` copies what the record needs. `shape` builds the
record from the copy, on the sender's thread. In between, the copy waits in the form that `freeze` gives it.

The record has the members of the StandardLoggingPayload that are on the allow list of `fields`. The following is
added: what only the request holds (the caller's `user`, the hashed key, agent, project, origin and a Router's
attempts), the names of the tools that were called, LiteLLM's own figure of what a prompt cache saved, and whether a
proxy counts the request. No reference to the prompt or the response is kept.
Source of each field: LiteLLM's spend_tracking_utils.py.
"""

from __future__ import annotations

import hashlib
import logging
import marshal
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any, Final, NamedTuple, TypeGuard

from .._proxy import proxy
from .encode import encode
from .fields import HIDDEN, ID, RECORD, REQUEST, REQUEST_METADATA
from .ids import TEXT, ReportUnusable, UnusableIds, id_of, plain, text_of
from .retrievals import IN_BACKGROUND, has_no_cost_yet, has_reserved_ending, id_of_cost, repeats_price
from .savings import prompt_caching_savings
from .selection import Selection
from .start import start_of
from .tools import called_tools

log = logging.getLogger("litellm_spend")

_PAYLOAD: Final = Selection(RECORD)
_HIDDEN: Final = Selection(HIDDEN)
_EVENT_IDS: Final = ("litellm_call_id", "user", "agent_id", "user_api_key_end_user_id", "preset_cache_key", "api_base")
_REQUEST: Final = REQUEST | REQUEST_METADATA
_NAMES_OF_REQUEST: Final = frozenset(_REQUEST)
# Used by `spend_record`, for which no logger counts unusable ids.
_count_unusable: Final = UnusableIds().report_unusable
_EMPTY: Final[dict[str, Any]] = {}
_SHA256_HEX: Final = re.compile(r"(?:hashed-jwt-)?[0-9a-fA-F]{64}")
_USER_AND_PASSWORD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*@")
# LiteLLM's proxy uses these names in place of a key hash.
_KEY_ALIASES: Final = frozenset(("litellm_proxy_master_key", "litellm-internal-health-check", "litellm-cli"))
# The provider of calls to a LiteLLM proxy, which records them itself.
_PROXY_PROVIDER: Final = "litellm_proxy"
# Appended to a call's own id if it ends like an id that is created for a cost.
_CALL_ID_SUFFIX: Final = "#call"


class Taken(NamedTuple):
    """What `take` copied out of an event. `marshal` can write each field, so the record can wait as bytes."""

    payload: list[Any]
    """The members of the StandardLoggingPayload that are on the allow list, as `Selection.take` returns them."""
    hidden: list[Any]
    """The members of its `hidden_params` that are on the allow list."""
    call_id: str | None
    """The event's `litellm_call_id`."""
    user: str | None
    """The caller's `user=`."""
    agent: str | None
    """The caller's `agent_id=`."""
    end_user: str | None
    """The end user that LiteLLM found for the request."""
    cache_key: str | None
    """The key of the call in LiteLLM's cache."""
    api_base: str | None
    """The provider's address from `hidden_params`. It may hold credentials."""
    request: dict[str, Any]
    """The members of the request's own metadata that are on the allow list."""
    id_of_cost: str | None
    """The id that all events with the price of one background job share; None for any other call."""
    is_charged_elsewhere: bool
    """Whether the event repeats a price that another event charges."""
    made_outside_proxy: bool
    """Whether no LiteLLM proxy answers the request."""
    tracks_end_users: bool
    """Whether LiteLLM is set to charge end users."""
    proxy_budget: str | None
    """The name of the budget of the whole proxy; None if the callback does not charge it."""
    key: str
    """The key's hash or alias; empty if the call has no key."""
    tools: list[str] | None
    """The names of the tools that the response called."""
    savings: float | None
    """What the provider's prompt cache saved, in dollars."""


def spend_record(kwargs: Mapping[str, Any], response: Any = None) -> dict[str, Any] | None:
    """The spend record of a finished call, in the form that `litellm_record_spend` accepts.

    `kwargs` is what LiteLLM passes to a callback's hooks. `response` is its `response_obj`; only the names of called
    tools and the state of background work are read from it. The result is None if there is nothing to record: the
    event has no StandardLoggingPayload, an application calls a LiteLLM proxy (which records the call itself), or a
    batch is retrieved whose cost is not known yet. If a proxy calls another proxy for its client, both record the
    call, as LiteLLM's writer does: the client's budget is in the first proxy, and the client may name any provider.
    """
    taken = take(kwargs, response)
    return None if taken is None else shape(taken)


def take(kwargs: Mapping[str, Any], response: Any, report_unusable: ReportUnusable = _count_unusable) -> Taken | None:
    """Copies all that the record of a finished call needs; None if `spend_record` returns None.

    `report_unusable` is called for each field whose id has no text. If the application or LiteLLM changes its objects
    later, the copy stays the same.
    """
    payload = kwargs.get("standard_logging_object")
    if not _is_mapping(payload):
        return None
    params = _mapping(kwargs.get("litellm_params"))
    made_outside_proxy = proxy.is_made_outside(params)
    if payload.get("custom_llm_provider") == _PROXY_PROVIDER and (made_outside_proxy or not proxy.is_serving()):
        return None
    answer = payload.get("response") if response is None else response
    if payload.get("status") == "failure":
        payload = {**payload, "startTime": start_of(payload, kwargs)}
    hidden = _mapping(payload.get("hidden_params"))
    unusable: dict[str, Any] = {}
    note = unusable.setdefault
    request, key = _take_request(params, note)
    cost_id, is_charged_elsewhere = None, False
    if payload.get("call_type") in IN_BACKGROUND:
        if has_no_cost_yet(payload, answer):
            return None
        cost_id = id_of_cost(payload, kwargs, answer, request.get("internal_call_origin"))
        is_charged_elsewhere = cost_id is None and repeats_price(payload, kwargs, answer)
    key = text_of(_mapping(payload.get("metadata")).get("user_api_key_hash")) or key
    event_ids: Iterable[Any] = (
        kwargs.get("litellm_call_id"),
        kwargs.get("user"),
        kwargs.get("agent_id"),
        params.get("user_api_key_end_user_id"),
        params.get("preset_cache_key") or proxy.cache_key(kwargs),
        hidden.get("api_base"),
    )
    if not TEXT.issuperset(map(type, event_ids)):
        event_ids = map(id_of, _EVENT_IDS, event_ids, repeat(note))
    # A record without these two is better than no record.
    tools, savings = None, None
    try:
        tools = called_tools(answer, kwargs.get("realtime_tool_calls"))
    except Exception as error:
        log.debug("the names of called tools could not be read: %s", type(error).__name__)
    try:
        savings = plain(prompt_caching_savings(payload))
    except Exception as error:
        log.debug("the savings of a prompt cache could not be read: %s", type(error).__name__)
    # By position, in the order of the fields. Keyword arguments would cost the caller another half microsecond.
    taken = Taken._make(
        (
            _PAYLOAD.take(payload, note),
            _HIDDEN.take(hidden, note),
            *event_ids,
            request,
            cost_id,
            is_charged_elsewhere,
            made_outside_proxy,
            not getattr(sys.modules.get("litellm"), "disable_end_user_cost_tracking", False),
            proxy.budget_name(),
            stored_key(key) if key else key,
            tools,
            savings,
        )
    )
    for name, value in unusable.items():
        report_unusable(name, value)
    return taken


def freeze(taken: Taken) -> bytes | str:
    """The copy in the form in which it waits for the sender: small, and ignored by Python's garbage collector.

    `write` turns it into text. `marshal` refuses some numbers in the user's own data; such a record becomes text here.
    """
    try:
        return marshal.dumps(tuple(taken))
    except ValueError:
        return encode(shape(taken))


def write(frozen: bytes | str) -> str:
    """The record of a frozen copy, as JSON text."""
    return frozen if isinstance(frozen, str) else encode(shape(Taken._make(marshal.loads(frozen))))


def shape(taken: Taken) -> dict[str, Any]:
    """Builds the record from what `take` copied."""
    record = _PAYLOAD.shape(taken.payload)
    metadata = record.setdefault("metadata", {})
    if taken.call_id is not None:
        record.setdefault("litellm_call_id", taken.call_id)  # LiteLLM 1.79's payload lacks it
    if taken.id_of_cost:
        record["id"] = record["litellm_call_id"] = taken.id_of_cost
    elif not taken.made_outside_proxy and has_reserved_ending(_own_id(record)):
        # A proxy's client chose this id. Its call would be free after the first time, or replace the cost of a job.
        record["id"] = record["litellm_call_id"] = _own_id(record) + _CALL_ID_SUFFIX
    if taken.made_outside_proxy:
        record["made_outside_proxy"] = True
    if taken.is_charged_elsewhere:
        record.update(response_cost=0.0, prompt_tokens=0, completion_tokens=0, total_tokens=0)
        metadata.pop("usage_object", None)
    if record.get("cache_hit") is True:
        record["response_cost"] = 0.0  # LiteLLM 1.79 reports the avoided cost of a sync call
    metadata.update(_HIDDEN.shape(taken.hidden))
    if not record.get("api_base") and taken.api_base is not None:
        record["api_base"] = taken.api_base
    if isinstance(address := record.get("api_base"), str):
        record["api_base"] = _bare_url(address)
    # A proxy charges a request to the user, team and project of its key, whatever its body claims.
    if taken.user is not None and taken.made_outside_proxy and not metadata.get("user_api_key_user_id"):
        record["user"] = taken.user
    if taken.agent is not None:
        record["agent_id"] = taken.agent
    for name, value in taken.request.items():
        (record if name in REQUEST else metadata).setdefault(name, value)
    if not taken.made_outside_proxy:
        metadata.pop("team_id", None)
        record.pop("project_id", None)
    if taken.end_user is not None:
        metadata["user_api_key_end_user_id"] = taken.end_user
    if taken.cache_key is not None:
        record.setdefault("cache_key", taken.cache_key)
    if not taken.tracks_end_users:
        record.pop("end_user", None)
        metadata.pop("user_api_key_end_user_id", None)
    if taken.proxy_budget:
        record["proxy_budget_name"] = taken.proxy_budget
    if taken.key:
        record["api_key"] = metadata["user_api_key_hash"] = taken.key
    if taken.tools:
        record["tool_calls"] = taken.tools
    if taken.savings:
        record["prompt_caching_savings_spend"] = taken.savings
    return record


def _is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return type(value) is dict or isinstance(value, Mapping)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if _is_mapping(value) else _EMPTY


def _take_request(params: Mapping[str, Any], report_unusable: ReportUnusable) -> tuple[dict[str, Any], str]:
    """What only the request's own metadata holds, and its key. The first source that has a value counts."""
    found: dict[str, Any] = {}
    key = ""
    # `metadata=` before `litellm_metadata=`, as in LiteLLM's own payload.
    for source in (params.get("metadata"), params.get("litellm_metadata")):
        if source and _is_mapping(source):
            for name in _NAMES_OF_REQUEST.intersection(source):
                value = source.get(name)
                value = id_of(name, value, report_unusable) if _REQUEST[name] is ID else plain(value)
                if value is not None:
                    found.setdefault(name, value)
            if not key:
                key = id_of("user_api_key", source.get("user_api_key"), report_unusable) or ""
    return found, key


def _own_id(record: Mapping[str, Any]) -> str:
    """The call id, if it names the request; empty if the provider gave an id."""
    call_id = record.get("litellm_call_id")
    return call_id or "" if record.get("status") == "failure" or record.get("id") == call_id else ""


def _bare_url(url: str) -> str:
    """The URL without user, password, query and fragment, because some applications put a provider's key there."""
    if "@" in url or "?" in url or "#" in url:
        return re.split("[?#]", _USER_AND_PASSWORD.sub(r"\1", url), maxsplit=1)[0]
    return url


def stored_key(key: str) -> str:
    """LiteLLM's stored form of a key: its sha256 in hex, unless the key is a hash already or a service alias."""
    key = key.strip()
    if key[:7].lower() == "bearer ":
        key = key[7:].lstrip()
    if not key or key in _KEY_ALIASES or _SHA256_HEX.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
