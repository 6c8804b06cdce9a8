"""What the wheel and the source distribution hold, and what they say about the package."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import BytesParser

import pytest

import versions
from harness.postgres import PROJECT

from .conftest import Distributions

PYTHON = PROJECT / "python"
PROJECT_TABLE = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
NAME = f"litellm_spend-{versions.EXTENSION}"
# Of the folders of python/: neither tests nor examples are for an application.
SOURCES = {path.relative_to(PYTHON / "src").as_posix() for path in PYTHON.glob("src/litellm_spend/**/*.py")}
SOURCES |= {"litellm_spend/py.typed", *(f"litellm_spend/_cli/report/page.{kind}" for kind in ("css", "js"))}


@pytest.fixture(scope="module")
def in_wheel(distributions: Distributions) -> dict[str, bytes]:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def metadata(in_wheel: dict[str, bytes]) -> Message:
    return BytesParser().parsebytes(in_wheel[f"{NAME}.dist-info/METADATA"])


def test_the_wheel_holds_the_package_and_nothing_else(in_wheel: dict[str, bytes]) -> None:
    about = ["METADATA", "WHEEL", "RECORD", "top_level.txt", "licenses/LICENSE"]
    if "scripts" in PROJECT_TABLE:
        about.append("entry_points.txt")
    assert set(in_wheel) == SOURCES | {f"{NAME}.dist-info/{name}" for name in about}


def test_the_source_distribution_can_be_built_again(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as sdist:
        names = {member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()}
    needed = {"LICENSE", "README.md", "pyproject.toml", *(f"src/{name}" for name in SOURCES)}
    needed |= {path.relative_to(PYTHON).as_posix() for path in PYTHON.glob("build_backend/*.py")}
    added = {"MANIFEST.in", "PKG-INFO", "setup.cfg"}
    assert {name for name in names if ".egg-info/" not in name} == needed | added


def test_the_license_is_that_of_the_project(in_wheel: dict[str, bytes], metadata: Message) -> None:
    assert in_wheel[f"{NAME}.dist-info/licenses/LICENSE"] == (PROJECT / "LICENSE").read_bytes()
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("MIT", ["LICENSE"])


def test_the_pythons_are_those_that_are_tested(metadata: Message) -> None:
    pythons = [python.version for python in versions.PYTHON]
    assert metadata["Requires-Python"] == f">={pythons[0]}"
    classifiers = metadata.get_all("Classifier") or []
    assert re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers)) == pythons
    assert "Typing :: Typed" in classifiers
    backend = (PYTHON / "build_backend" / "setuptools_from_3_10.py").read_text()
    assert f'NEEDED = ">={pythons[0]}"' in backend
    assert f"sys.version_info >= ({pythons[0].replace('.', ', ')})" in backend


def test_the_oldest_psycopg_that_is_allowed_is_tested(metadata: Message) -> None:
    oldest = versions.PYTHON[0].psycopg
    needed = [line for line in metadata.get_all("Requires-Dist") or [] if line.startswith("psycopg")]
    assert needed == [f"psycopg>={oldest}", f'psycopg[binary]>={oldest}; extra == "binary"']


def test_the_description_is_the_readme_and_its_links_work_anywhere(metadata: Message) -> None:
    description = metadata.get_payload(decode=True).decode()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert description == (PYTHON / "README.md").read_text()
    headings = {re.sub(r"\W+", "-", heading.lower()) for heading in re.findall(r"^#+ (.+)$", description, re.MULTILINE)}
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert targets, "the pattern finds the links"
    assert [
        target for target in targets if not target.startswith("https://") and target.removeprefix("#") not in headings
    ] == []


def test_an_address_of_the_project_is_one(metadata: Message) -> None:
    urls = PROJECT_TABLE.get("urls", {})
    assert [url for url in urls.values() if not url.startswith("https://")] == []
    assert len(metadata.get_all("Project-URL") or []) == len(urls)
