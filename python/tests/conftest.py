"""Makes the package importable for the unit tests. They need no installed package, no LiteLLM and no server."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
