"""The page of `report --html`, in a real browser: it fetches nothing, runs nothing of the database, and fits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness.database import Database
from harness.postgres import make_tool
from harness.records import spend_record

from .command_line import CommandLine

NOW = datetime.now(timezone.utc)
LONG = "service-account-nightly-batch-summarizer@analytics.internal.example.com"
HOSTILE = '</script><img src="https://example.com/x" onerror="window.ran=1">'
BOLD = "<b>bold</b> & co"
USERS = ("alice", "bob", LONG, HOSTILE, BOLD)
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}


@dataclass
class Seen:
    """A page in the browser, and what it did while it loaded."""

    page: Page
    told: list[str] = field(default_factory=list)
    """Lines of the console and errors."""
    requested: list[str] = field(default_factory=list)
    refused: dict[str, str | None] = field(default_factory=dict)
    """Why a request was not made, by its URL."""

    def style(self, selector: str, name: str) -> str:
        return self.page.evaluate(
            "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]", [selector, name]
        )


@pytest.fixture(scope="module")
def page_file(shared_database: Database, command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of some days with users whose names are markup."""
    for number, user in enumerate(USERS):
        for age in range(10):
            start = (NOW - timedelta(days=age)).timestamp()
            tags = [f"tag-{number}", HOSTILE]
            shared_database.record(
                spend_record(
                    user=user,
                    team_id=user,
                    model=user,
                    request_tags=tags,
                    startTime=start,
                    endTime=start + 1,
                    spend=7.5,
                )
            )
    shared_database.wait_folded()
    return write(command_line, shared_database.url, tmp_path_factory.mktemp("page") / "page.html")


def write(command_line: CommandLine, url: str, file: Path) -> Path:
    ran = command_line.run("report", "--since", "30d", "--html", str(file), DATABASE_URL=url)
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.startswith(f"{file} is written: ")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    make_tool("chromium")
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def look(browser: Browser, file: Path, screen: str = "desktop", scheme: str = "light") -> Seen:
    width, height = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    seen = Seen(page)
    page.on("console", lambda message: seen.told.append(message.text))
    page.on("pageerror", lambda error: seen.told.append(str(error)))
    page.on("request", lambda request: seen.requested.append(request.url))
    page.on("requestfailed", lambda request: seen.refused.update({request.url: request.failure}))
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    return seen


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn_fits_and_fetches_nothing(
    browser: Browser, page_file: Path, screen: str, scheme: str
) -> None:
    seen = look(browser, page_file, screen, scheme)
    assert seen.requested == [page_file.as_uri()]
    assert seen.told == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") == SCREENS[screen][0]
    for chart, marks in {"days": 30, "list-0": 5, "list-1": 5, "list-2": 6, "list-3": 5}.items():
        drawn = seen.page.locator(f"#{chart} .bars path")
        assert drawn.count() == marks
        boxes = [drawn.nth(number).bounding_box() for number in range(marks)]
        assert max(box["width"] * box["height"] for box in boxes if box) > 100
    cards = seen.page.evaluate(
        "[...document.querySelectorAll('section, .totals > div')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert cards == 0, "a card is wider than its place"
    seen.page.close()


def test_light_and_dark_differ_and_both_have_contrast(browser: Browser, page_file: Path) -> None:
    looks = [look(browser, page_file, scheme=scheme) for scheme in ("light", "dark")]
    for selector, name in (("body", "backgroundColor"), ("body", "color"), ("section", "backgroundColor")):
        light, dark = (seen.style(selector, name) for seen in looks)
        assert light != dark, (selector, name)
    for selector in (".bars path", ".ytick text", ".gridlayer path"):
        name = "stroke" if selector == ".gridlayer path" else "fill"
        light, dark = (seen.style(f"#days {selector}", name) for seen in looks)
        assert light != dark, selector
        for seen in looks:
            assert seen.style(f"#days {selector}", name) != seen.style("section", "backgroundColor")


def test_a_name_of_the_database_is_shown_as_it_is(browser: Browser, page_file: Path) -> None:
    seen = look(browser, page_file)
    names = seen.page.locator("section:has(#list-0) td:first-child").all_text_contents()
    assert sorted(names) == sorted(USERS)
    labels = seen.page.locator("#list-0 .ytick text").all_text_contents()
    assert BOLD in labels and any(label.startswith("</script>") for label in labels)
    assert seen.page.evaluate("[window.ran, document.images.length]") == [None, 0]
    assert seen.page.locator("h2").all_text_contents() == ["Spend per day", "Users", "Teams", "Tags", "Models"]


def test_the_figures_of_the_page(browser: Browser, page_file: Path) -> None:
    seen = look(browser, page_file)
    assert seen.page.locator(".totals dd").all_text_contents() == ["$375.0000", "50", "750"]
    rows = seen.page.locator("section:has(#list-2) tbody tr").all_text_contents()
    assert rows[0] == f"{HOSTILE}$375.000050750" and "$75.0000" in rows[1]
    notes = seen.page.locator("footer").text_content() or ""
    assert "the rows of the tags do not add up to the total" in notes
    assert "All committed records are counted." in notes


def test_the_policy_of_the_page_stops_what_is_not_its_own(browser: Browser, page_file: Path, tmp_path: Path) -> None:
    text = page_file.read_text().replace("</main>", f"{HOSTILE}</main>")
    (tmp_path / "changed.html").write_text(text)
    seen = look(browser, tmp_path / "changed.html")
    assert seen.page.evaluate("[window.ran, document.images.length]") == [None, 1]
    assert any("Content Security Policy" in line for line in seen.told)
    assert seen.refused == {"https://example.com/x": "csp"}
    assert seen.page.locator("#days .bars path").count() == 30


def test_a_period_without_spend(
    browser: Browser, database: Database, command_line: CommandLine, tmp_path: Path
) -> None:
    seen = look(browser, write(command_line, database.url, tmp_path / "empty.html"), "phone")
    assert seen.told == []
    assert seen.page.locator("section", has_text="None in this period.").count() == 4


def test_a_page_that_cannot_be_written_is_a_sentence(
    database: Database, command_line: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "missing" / "page.html"
    ran = command_line.run("report", "--html", str(file), DATABASE_URL=database.url)
    assert ran.stderr == (
        f"litellm-spend report: {file} cannot be written (No such file or directory): name another file\n"
    )
    assert ran.exit_code == 1
