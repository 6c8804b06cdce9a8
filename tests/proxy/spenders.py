"""The entities whose budgets a proxy enforces. Each can afford one call of the model "dear", but not two."""

from __future__ import annotations

from itertools import count
from typing import Any

from .documented import merged
from .server import Proxy

BUDGET = 0.5
"""The budget in dollars. A call of the model "dear" costs 0.333."""
PROXY_BUDGET = 100.0
"""The budget of the whole proxy, which one call of the model "ruinous" uses up."""
_WINDOW = [{"budget_duration": "1d", "max_budget": BUDGET}]
KINDS = ["key", "user", "team", "member", "window of a key", "window of a team", "end user", "tag"]
_numbers = count(1)


def with_proxy_budget(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a `Proxy` that also has a budget of its own."""
    return merged(options, {"litellm_settings": {"max_budget": PROXY_BUDGET, "budget_duration": "30d"}})


def spender(proxy: Proxy, budget_of: str) -> tuple[str, dict[str, Any]]:
    """The key and the request body of a new spender whose budget of this kind is BUDGET."""
    number = next(_numbers)
    user, team = f"user-{number}", f"team-{number}"
    has = {"max_budget": BUDGET}
    proxy.post("/user/new", user_id=user, auto_create_key=False, **(has if budget_of == "user" else {}))
    if budget_of == "user":
        return proxy.post("/key/generate", user_id=user)["key"], {}
    member = {"user_id": user, "role": "user"}
    of_team = has if budget_of == "team" else {"budget_limits": _WINDOW} if budget_of == "window of a team" else {}
    proxy.post("/team/new", team_id=team, members_with_roles=[member], **of_team)
    if budget_of == "member":
        proxy.post("/team/member_update", team_id=team, user_id=user, max_budget_in_team=BUDGET)
    of_key = has if budget_of == "key" else {"budget_limits": _WINDOW} if budget_of == "window of a key" else {}
    key = proxy.post("/key/generate", user_id=user, team_id=team, **of_key)["key"]
    if budget_of == "end user":
        proxy.post("/customer/new", user_id=f"end-{number}", **has)
        return key, {"user": f"end-{number}"}
    if budget_of == "tag":
        proxy.post("/tag/new", name=f"tag-{number}", **has)
        return key, {"tags": [f"tag-{number}"]}
    return key, {}
