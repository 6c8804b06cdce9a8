"""Lets the unit tests run without an installed package: neither LiteLLM nor a server is needed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
