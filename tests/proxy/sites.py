"""A proxy and SDK clients on one database, in one team. Their requests differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.database import Database
from harness.interpreter import Interpreter
from harness.waiting import wait_until

from .pages import Total, asked, of_team
from .server import Proxy

SDK_CLIENT = Path(__file__).with_name("sdk_client.py")


@dataclass
class Site:
    database: Database
    proxy: Proxy
    interpreter: Interpreter
    """Where the SDK clients run."""
    team: str = "team-a"
    key: str = ""
    costs: list[float] = field(default_factory=list)
    """The cost of each request since the beginning."""

    def chat(self, calls: int) -> None:
        """Send calls to the proxy, by one user of the team."""
        if not self.key:
            # Where SDK clients came first, the team exists.
            self.proxy.ask("POST", "/team/new", {"team_id": self.team})
            self.proxy.post("/user/new", user_id=self.proxys_user, auto_create_key=False)
            self.key = self.proxy.post("/key/generate", user_id=self.proxys_user, team_id=self.team)["key"]
        answers = [self.proxy.chat(self.key, ("cheap", "dear")[number % 2]) for number in range(calls)]
        self.costs += [float(answer.headers["x-litellm-response-cost"]) for answer in answers]

    def call_sdk(self, calls: int, **options: Any) -> None:
        """Send calls of another user of the team, to a mocked provider by default."""
        options = {"model": "openai/sdk", "mock_response": "Hello.", **options}
        options |= {"user": self.sdks_user, "metadata": {"team_id": self.team, "tags": ["sdk"]}}
        done = self.interpreter.run(SDK_CLIENT, str(calls), json.dumps(options), url=self.database.url)
        self.costs += done.reported[0]["costs"]

    @property
    def proxys_user(self) -> str:
        return f"proxy-user-of-{self.team}"

    @property
    def sdks_user(self) -> str:
        return f"sdk-user-of-{self.team}"

    def wait_told(self) -> None:
        """Wait until each of the proxy's pages shows each of these requests once, and no others."""
        self._wait_told(lambda: asked(self.proxy))

    def wait_told_of_team(self) -> None:
        """Wait until the team's page shows each of these requests once, where others use the database too."""
        self._wait_told(lambda: of_team(self.proxy, self.team))

    def _wait_told(self, ask: Callable[[], dict[str, Total]]) -> None:
        wait_until(lambda: not self._wrong(ask()), deadline=60, what="the pages", show=lambda _: self._wrong(ask()))

    def _wrong(self, pages: dict[str, Total]) -> list[str]:
        count, cost = len(self.costs), sum(self.costs)
        return [
            f"{page}: {requests} requests with a spend of {spend}, not {count} with {cost}"
            for page, (requests, spend) in pages.items()
            if requests not in (None, count) or spend not in (None, pytest.approx(cost))
        ]

    def stop(self) -> None:
        """Stop the proxy, and check that what it still had in memory changes no sum."""
        self.proxy.stop()
        self.database.wait_folded()
        for table in ("SpendLogs", "DailyUserSpend", "UserTable", "DailyTeamSpend", "TeamTable"):
            spend = self.database.value(f'SELECT sum(spend) FROM "LiteLLM_{table}"')
            assert spend == pytest.approx(sum(self.costs)), table
