"""A real LiteLLM proxy: LiteLLM's own command line on a database of the tests, asked over HTTP.

Prisma's engine is the one of engine/. It is slower than the native one, so do not measure speed with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cluster import die_with_parent, free_port
from harness.postgres import PROJECT, make_tool
from harness.waiting import wait_until

MASTER_KEY = "sk-proxy-of-the-tests"
PRISMA = PROJECT / ".build" / "prisma"
# A proxy finds nothing that it would fetch from the internet at its start.
OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "CHECKPOINT_DISABLE": "1",
    "PRISMA_HIDE_UPDATE_MESSAGE": "1",
}


def model(name: str, provider: str, input_cost: float, output_cost: float) -> dict[str, Any]:
    """An entry of `model_list` that answers by itself. Its prices are in dollars per token."""
    return {
        "model_name": name,
        "litellm_params": {
            "model": f"{provider}/{name}",
            "api_key": "sk-none",
            "mock_response": f"Hello from the {name} model.",
            "input_cost_per_token": input_cost,
            "output_cost_per_token": output_cost,
        },
    }


MODELS = [
    model("cheap", "openai", 1e-6, 2e-6),
    model("dear", "anthropic", 0.003, 0.015),
    model("ruinous", "openai", 1, 5),
]
"""The models that the proxy serves unless a test says otherwise, at prices that tell the two apart."""


@dataclass(frozen=True)
class Answer:
    """An answer of the proxy."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        assert self.status == 200, f"{self.status}: {self.text[:2000]}"
        return json.loads(self.text)


class Proxy:
    """One proxy. The context manager starts it, waits until it serves, and kills it at the end."""

    def __init__(
        self,
        version: str,
        database_url: str,
        folder: Path,
        *,
        models: list[dict[str, Any]] | None = None,
        litellm_settings: dict[str, Any] | None = None,
        general_settings: dict[str, Any] | None = None,
        guardrails: list[dict[str, Any]] | None = None,
        modules: dict[str, str] | None = None,
        **variables: str,
    ) -> None:
        """`folder` gets the proxy's config.yaml and log. `modules` are Python modules beside config.yaml, by name."""
        self.version = version
        self.log_file = folder / "proxy.log"
        self.port = free_port()
        self._folder = folder
        self._environment = {**environment(version, database_url), **variables}
        self._process: subprocess.Popen[bytes] | None = None
        config = {
            "model_list": MODELS if models is None else models,
            "litellm_settings": {"drop_params": True, **(litellm_settings or {})},
            "general_settings": {
                "master_key": "os.environ/LITELLM_MASTER_KEY",
                # The pause between two writes of its own writer, in seconds.
                "proxy_batch_write_at": 1,
                **(general_settings or {}),
            },
            "guardrails": guardrails or [],
        }
        folder.mkdir(exist_ok=True)
        # JSON is YAML.
        (folder / "config.yaml").write_text(json.dumps(config, indent=2))
        for name, code in (modules or {}).items():
            (folder / f"{name}.py").write_text(code)

    def __enter__(self) -> Proxy:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, deadline: float = 180.0) -> None:
        """Start it and wait until it serves."""
        bin_folder = _bin(self.version)
        arguments = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [bin_folder / "litellm", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        wait_until(self._serves, deadline=deadline, what="the proxy to serve", show=lambda _: self.log()[-5000:])

    def stop(self, *, deadline: float = 60.0) -> int:
        """Send SIGTERM, as `docker stop` does. Returns the exit code."""
        assert self._process is not None, "the proxy is not running"
        self._process.terminate()
        code = self._process.wait(deadline)
        self.kill()
        return code

    def kill(self) -> None:
        """Send SIGKILL to what is left of the proxy."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(60)
            self._process = None

    def log(self) -> str:
        """The proxy's output over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = MASTER_KEY,
        headers: dict[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Answer:
        """Send a request with the key as bearer token. `body` is sent as JSON."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}", **(headers or {})},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, response.read().decode(), response.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), error.headers)

    def get(self, path: str, **parameters: str) -> Any:
        """The answer to a GET with the master key."""
        return self.ask("GET", f"{path}?{urllib.parse.urlencode(parameters)}" if parameters else path).json

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a POST with the master key."""
        return self.ask("POST", path, body).json

    def chat(self, key: str = MASTER_KEY, model: str = "cheap", text: str = "How are you?", **body: Any) -> Answer:
        """A chat completion."""
        messages = [{"role": "user", "content": text}]
        return self.ask("POST", "/v1/chat/completions", {"model": model, "messages": messages, **body}, key=key)

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the proxy ended with {self._process.returncode}: {self.log()[-5000:]}")
        try:
            return self.ask("GET", "/health/readiness", timeout=5).status == 200
        except OSError:
            return False


def _bin(version: str) -> Path:
    make_tool(f"proxy-{version}")
    return PROJECT / ".build" / f"venv-proxy-{version}" / "bin"


def environment(version: str, database_url: str) -> dict[str, str]:
    """The environment of an installed proxy of this LiteLLM: its Python, Prisma's command line, and the database."""
    bin_folder = _bin(version)
    return {
        # Prisma's own command line comes first, because prisma-client-py's, which starts it, takes seconds to load.
        "PATH": f"{PRISMA}/node_modules/.bin:{bin_folder}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": os.environ.get("HOME", "/"),
        "DATABASE_URL": database_url,
        "DISABLE_SCHEMA_UPDATE": "True",
        "LITELLM_MASTER_KEY": MASTER_KEY,
        "LITELLM_SALT_KEY": "sk-salt-of-the-tests",
        "PRISMA_BINARY_CACHE_DIR": str(PRISMA),
        "PRISMA_QUERY_ENGINE_BINARY": str(PRISMA / "query-engine.js"),
        "PRISMA_SCHEMA_ENGINE_BINARY": str(PRISMA / "schema-engine.js"),
        "PRISMA_CLI_QUERY_ENGINE_TYPE": "binary",
        "PRISMA_USE_NODEJS_BIN": "false",
        **OFFLINE,
    }
