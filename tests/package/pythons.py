"""The Pythons that tests of the package run on, or that it must refuse."""

from __future__ import annotations

import interpreters
import versions

_OLDEST = int(versions.PYTHON[0].version.split(".")[1])
# The two before the oldest one.
TOO_OLD = [f"3.{minor}" for minor in (_OLDEST - 2, _OLDEST - 1)]
HERE = [python for python in versions.PYTHON if interpreters.find(python.version)]
TOO_OLD_HERE = [version for version in TOO_OLD if interpreters.find(version)]
