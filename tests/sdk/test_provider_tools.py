"""Tools that the provider ran itself count as called, though LiteLLM 1.110 keeps them apart from the message's."""

from __future__ import annotations

from pathlib import Path

import versions
from harness.interpreter import Interpreter

CODE = """
import json
import httpx
from litellm.llms.anthropic.chat.transformation import AnthropicConfig
from litellm.types.utils import ModelResponse
from litellm_spend._record.tools import called_tools

answer = {
    "id": "msg", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "tool_use",
    "usage": {"input_tokens": 1, "output_tokens": 2},
    "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {}},
    ],
}
response = AnthropicConfig().transform_parsed_response(
    completion_response=answer, raw_response=httpx.Response(200, json=answer), model_response=ModelResponse()
)
print(json.dumps({"called": called_tools(response)}))
"""


def test_a_web_search_of_the_provider_is_a_called_tool(interpreter: Interpreter, tmp_path: Path) -> None:
    ran = interpreter.run(tmp_path / "tools.py", url=None, code=CODE)
    # The oldest LiteLLM does not report it.
    told = [] if interpreter.version == versions.LITELLM[0] else ["web_search"]
    assert ran.sdk == {"called": [*told, "read"]}
