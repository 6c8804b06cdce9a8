"""Cargo.toml names each version that the project is built from and tested with. Other places that name one agree."""

from __future__ import annotations

import fnmatch
import re
import subprocess

import pytest
from package.pythons import TOO_OLD

import versions
from harness.postgres import PROJECT

OLDEST, NEWEST = versions.LITELLM[0], versions.LITELLM[-1]
SCHEMAS = versions.LITELLM_SCHEMAS
MAJORS = [str(postgres.major) for postgres in versions.POSTGRES]
# These other places may name a version, and why.
ALLOWED = {
    "Cargo.toml": "the one place",
    "*Cargo.lock": "cargo's own",
    "CHANGELOG.md": "what was released",
    "docs/benchmarks.md": "what was measured",
    "docs/litellm.md": "the source of a rule",
    "core/src/*.rs": "the source of a rule",
    "tests/schemas/*.py": "what came with a schema",
    "tests/harness/litellm-*/*": "what came with a schema",
    "tests/goldens/*": "what made the cases",
    "tests/requirements-*": "compared below",
    "tests/proxy/engine/package*.json": "npm's own",
    "sql/litellm_tables.sql": "compared below",
    "sql/litellm_spend--*.sql": "the install SQL of a version",
    "python/src/litellm_spend/__init__.py": "compared below",
    "python/src/litellm_spend/_cli/doctor/packages.py": "compared below",
    "README.md": "compared below",
    "python/README.md": "compared below",
    "docs/cutover.md": "compared below",
}


def read(path: str) -> str:
    return (PROJECT / path).read_text()


def short(version: str) -> str:
    """The release without its patch number."""
    return version.rsplit(".", 1)[0]


def tracked_files() -> list[str]:
    command = ["git", "-c", f"safe.directory={PROJECT}", "ls-files"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return listed.splitlines()


def named_versions() -> set[str]:
    wheels = [each.wheel.version for each in (*versions.POSTGRES, *SCHEMAS)]
    own = [versions.EXTENSION, versions.PGRX, versions.CARGO_FUZZ]
    return {*wheels, *own, *versions.LITELLM, *(schema.litellm for schema in SCHEMAS)}


def test_no_other_file_names_a_version() -> None:
    name = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, sorted(named_versions())))})(?![\w.]*\w)")
    # A loop over the majors lists them.
    list_of_majors = re.compile(rf"\b{MAJORS[0]}\b.{{1,12}}\b{MAJORS[1]}\b")
    found = []
    for path in tracked_files():
        if any(fnmatch.fnmatch(path, allowed) for allowed in ALLOWED):
            continue
        try:
            lines = read(path).splitlines()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        patterns = [name] if path.endswith(".rs") else [name, list_of_majors]
        for number, line in enumerate(lines, 1):
            if any(pattern.search(line) for pattern in patterns):
                found.append(f"{path}:{number}: {line.strip()}")
    assert found == [], "let them read scripts/versions.py"


def test_every_place_that_may_name_a_version_is_there() -> None:
    files = tracked_files()
    assert [allowed for allowed in ALLOWED if not fnmatch.filter(files, allowed)] == []


@pytest.mark.parametrize(
    "line",
    [
        f"| Postgres | {', '.join(MAJORS)} |",
        f"| LiteLLM SDK | {', '.join(versions.LITELLM)} |",
        f"| LiteLLM schema | {', '.join(schema.litellm for schema in SCHEMAS)} "
        f"(litellm-proxy-extras {', '.join(dict.fromkeys(schema.wheel.version for schema in SCHEMAS))}; "
        f"for {', '.join(schema.litellm for schema in SCHEMAS if schema.added)} with what its schema.prisma adds) |",
        f"| Rust | {versions.RUST} with pgrx {versions.PGRX} |",
        f"with Rust {versions.RUST},",
        f"Postgres {MAJORS[0]} to {MAJORS[-1]}, a UTF8 database, "
        f"LiteLLM's schema of version {short(SCHEMAS[0].litellm)} to {short(SCHEMAS[-1].litellm)}",
        f"every test on Postgres {MAJORS[-1]};",
    ],
)
def test_the_readme_names_what_is_tested(line: str) -> None:
    assert line in read("README.md")


def test_the_callbacks_readme_names_what_is_tested() -> None:
    assert f"Needs LiteLLM {short(OLDEST)} or newer" in read("python/README.md")
    assert f"tested with LiteLLM {', '.join(versions.LITELLM)}." in read("python/README.md")
    pythons, psycopgs = ", ".join(each.version for each in versions.PYTHON), [each.psycopg for each in versions.PYTHON]
    line = f"on Python {pythons} as far as the machine has them, with psycopg {' and '.join(dict.fromkeys(psycopgs))}."
    assert line in read("python/README.md")


def test_the_doctor_knows_what_is_tested() -> None:
    tested = ", ".join(f'"{version}"' for version in versions.LITELLM)
    assert f"TESTED_LITELLM = ({tested})" in read("python/src/litellm_spend/_cli/doctor/packages.py")


def test_the_cut_over_is_told_for_the_newest_wheel() -> None:
    page, schema = read("docs/cutover.md"), [schema for schema in SCHEMAS if schema.added is None][-1]
    assert re.findall(r"For LiteLLM ([\d.]+\d)", page) == [schema.litellm]
    assert set(re.findall(r"litellm[-_]proxy[-_]extras(?:==|-)([\d.]+\d)", page)) == {schema.wheel.version}
    assert f"the proxies of {' and '.join(versions.LITELLM_PROXY)}" in page


def test_the_tables_are_those_of_the_newest_schema() -> None:
    schema = SCHEMAS[-1]
    made_from = f"(litellm-proxy-extras {schema.wheel.version}, all {schema.migrations} migrations)"
    assert made_from in read("sql/litellm_tables.sql"), "run: make tables"


def test_the_callback_has_the_version_of_the_extension() -> None:
    assert f'__version__ = "{versions.EXTENSION}"' in read("python/src/litellm_spend/__init__.py")
    assert 'dynamic = ["version"]' in read("python/pyproject.toml")


@pytest.mark.parametrize("version", versions.LITELLM)
def test_an_environment_holds_the_litellm_that_it_is_named_after(version: str) -> None:
    for kind in ("in", "txt"):
        assert re.findall(r"^litellm==([\d.]+)", read(f"tests/requirements-litellm-{version}.{kind}"), re.M) == [
            version
        ]


@pytest.mark.parametrize("python", versions.PYTHON, ids=lambda python: python.version)
def test_an_environment_holds_what_is_tested_on_its_python(python: versions.Python) -> None:
    for kind in ("in", "txt"):
        pinned = read(f"tests/requirements-python-{python.version}.{kind}")
        assert re.findall(r"^litellm==([\d.]+)", pinned, re.M) == [python.litellm]
        assert re.findall(r"^psycopg(?:\[binary\])?==([\d.]+)", pinned, re.M) == [python.psycopg]


def test_each_litellm_is_tested_on_one_of_the_pythons() -> None:
    assert {python.litellm for python in versions.PYTHON} == set(versions.LITELLM)


def test_the_workflow_has_each_python() -> None:
    listed = re.search(r"python-version: \|\n((?: +3\.\d+\n)+)", read(".github/workflows/ci.yml"))
    assert listed and {*listed[1].split()} == {*TOO_OLD, *(python.version for python in versions.PYTHON)}


def test_the_recipes_run_beside_the_newest_litellm() -> None:
    assert f"-c requirements-litellm-{NEWEST}.txt\n" in read("tests/requirements-recipes.in")
    assert f"\nlitellm=={NEWEST} " in read("tests/requirements-recipes.txt"), "run: make requirements"


def test_pgrx_and_its_tests_are_of_one_version() -> None:
    assert f'\npgrx-tests = "={versions.PGRX}"\n' in read("Cargo.toml")
