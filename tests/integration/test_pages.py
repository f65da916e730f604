"""The pages of models in a real browser: offline, on a phone, in the dark, by keyboard, with hostile texts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chromium import needs_chromium
from support.hostile_pages import EVIL, QUOTED, hostile_models
from support.pages import DAY, SPRING

from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import known_models
from everfit.tasks.pages.facts import read_model_facts
from everfit.tasks.pages.status import status_of

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, Path]:
    return hostile_models(tmp_path_factory.mktemp("world"))


@pytest.fixture
def opened(browser: Any, world: tuple[Ledger, Path]) -> Iterator[Callable[..., Any]]:
    """Opens a page, and checks at the end that it complained of nothing, asked for nothing and ran nothing foreign."""
    pages, complaints, requests = [], list[str](), list[str]()

    def show(path: str, width: int = 1280, height: int = 900, **options: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": height}, timezone_id="Asia/Tokyo", **options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: requests.append(asked.url))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto((world[1] / path).as_uri())
        page.locator("html[data-ready=yes]").wait_for()  # a string to evaluate would break on the pages' CSP
        pages.append(page)
        return page

    yield show
    assert complaints == []
    assert [asked for asked in requests if not asked.startswith("file:")] == []
    for page in pages:
        assert page.evaluate("window.evil") is None
        page.close()


def test_the_page_of_all_says_what_the_ledger_says_and_sorts_and_filters(
    opened: Callable[..., Any], world: tuple[Ledger, Path]
) -> None:
    page = opened("index.html")
    every = {name: status_of(read_model_facts(world[0], name, SPRING + 1_000 * DAY)) for name in known_models(world[0])}

    for name, found in every.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
        assert row.locator(".chip").inner_text() == found.declaration.label
    names = page.locator("tbody th").all_inner_texts
    assert names() == ["flights", "cabs", "fraud", "bikes", "rents", "parcels"]
    page.get_by_role("button", name="Model").click()
    assert names() == sorted(names())
    page.get_by_role("button", name="Model").click()
    assert names() == sorted(names(), reverse=True)
    page.get_by_role("button", name="Live quality").click()
    assert set(names()[:2]) == {"cabs", "flights"}  # the furthest behind first, and those without a figure last
    assert set(names()[-2:]) == {"rents", "parcels"}
    page.get_by_label("Filter").fill("cab")
    assert page.locator("tbody tr:visible").count() == 1
    page.get_by_label("Filter").fill("")
    page.get_by_label("State").select_option(label="not looked at lately")
    assert page.locator("tbody tr:visible th").all_inner_texts() == ["bikes"]
    page.get_by_role("link", name="bikes").click()
    page.wait_for_url("**/bikes/index.html")
    assert page.get_by_role("heading", level=1).inner_text().split() == ["bikes", "not", "looked", "at", "lately"]


@pytest.mark.parametrize(
    ("path", "width", "scheme"),
    [
        ("index.html", 360, "dark"),
        ("index.html", 800, "light"),
        ("index.html", 1024, "light"),
        ("index.html", 1920, "light"),
        ("report.html", 360, "dark"),
        ("flights/index.html", 360, "light"),
        ("flights/index.html", 1920, "dark"),
        ("rents/index.html", 360, "dark"),
    ],
)
def test_a_page_fits_and_has_landmarks(opened: Callable[..., Any], path: str, width: int, scheme: str) -> None:
    page = opened(path, width=width, color_scheme=scheme)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for role in ("main", "banner", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate("document.querySelectorAll('canvas').length > 0") is (
        path in {"flights/index.html", "report.html"}
    )
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].split(",")[0]) > 128) is (scheme == "light")


@pytest.mark.parametrize("path", ["index.html", "flights/index.html", "rents/index.html"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_each_text_can_be_told_from_its_background(opened: Callable[..., Any], path: str, scheme: str) -> None:
    """By the contrast of WCAG 2.2, level AA: 4.5, and 3 for large texts."""
    page = opened(path, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    found = page.evaluate((Path(__file__).parents[1] / "support/contrast.js").read_text())

    assert found["low"] == []
    assert found["pairs"] > 20


@pytest.mark.parametrize("path", ["index.html", "flights/index.html", "rents/index.html"])
def test_a_screen_reader_gets_a_name_for_all_that_can_be_used_or_seen(opened: Callable[..., Any], path: str) -> None:
    """By Chromium's own tree of accessibility."""
    page = opened(path)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]

    said = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in tree if not node["ignored"]
    ]

    used = {
        "link",
        "button",
        "textbox",
        "searchbox",
        "combobox",
        "img",
        "image",
        "heading",
        "table",
        "region",
        "figure",
    }
    assert [role for role, name in said if role in used and not name] == []
    assert [sum(role == wanted for role, _ in said) for wanted in ("main", "banner", "contentinfo")] == [1, 1, 1]
    drawn = page.locator("canvas")
    for chart in (drawn.nth(place) for place in range(drawn.count())):
        assert chart.evaluate("one => Boolean(one.closest('[aria-label], [aria-labelledby], [aria-hidden=true]'))")


def test_hostile_texts_are_shown_as_they_are(opened: Callable[..., Any]) -> None:
    page = opened("flights/index.html")

    text = page.locator("main").inner_text()
    assert text.count("<img src=x onerror=window.evil=1>") > 5
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    for one in page.locator("details").all():
        one.evaluate("each => each.open = true")
    page.locator("#marks button").last.click()
    assert page.locator("#mark-text").is_visible()
    assert page.locator("#heat th[scope=row]").first.inner_text() == "temp"
    assert page.locator("#heat th[scope=row]").nth(1).inner_text() == EVIL


def test_marks_that_turn_text_around_and_broken_characters_are_signs(opened: Callable[..., Any]) -> None:
    page = opened("cabs/index.html")

    assert (
        page.locator("#marks button").first.get_attribute("aria-label").startswith("2 events from 2024-03-01 00:00 UTC")
    )
    for button in page.locator("#marks button").all():
        button.click()
        if "Kept" in (text := page.locator("#mark-text").inner_text()):
            break
    assert "Kept \ufffdtxt.exe\ufffd \ufffd[2J" in text
    assert page.locator("#heat th[scope=row]").first.inner_text().startswith("column \ufffdtxt.exe\ufffd")
    assert not {"\u202e", "\u2066", "\x1b"} & set(page.locator("body").inner_text())


def test_the_timeline_is_used_by_keyboard_and_zooms(opened: Callable[..., Any]) -> None:
    page = opened("flights/index.html")
    chart, readout = page.locator("#timeline"), page.locator("#readout")

    chart.focus()
    page.keyboard.press("End")
    assert readout.inner_text().startswith("2026-03-03 00:00 UTC: roc_auc 0.600 (0.576 to 0.624), 0.750 expected")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert readout.inner_text().startswith("2026-02-28 19:00 UTC: roc_auc 0.7")
    page.keyboard.press("Home")
    assert readout.inner_text().startswith("2024-03-01 01:00 UTC")
    marks = page.locator("#marks button").count()
    page.get_by_role("button", name="90 days").click()
    assert page.locator("#marks button").count() < marks
    assert page.get_by_role("button", name="90 days").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="All").click()
    assert page.locator("#marks button").count() == marks
    page.locator("#marks button").first.press("Enter")
    assert "version 1 became the champion, by gate" in page.locator("#mark-text").inner_text()
    assert page.locator("#timeline-text").inner_text().startswith("2,922 looks from 2024-03-01 to 2026-03-03, 3 champ")


def test_a_reader_without_charts_has_the_same_in_tables(opened: Callable[..., Any]) -> None:
    page = opened("bikes/index.html")

    page.get_by_text("The timeline as a table").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="2024-03"))
    assert row.first.get_by_role("cell").all_inner_texts() == ["29", "0.7541", "0.75", "0.758", "healthy", "1"]
    cell = page.locator("#heat td[title*='temp, 2024-03-30']")
    assert cell.get_attribute("title") == "temp, 2024-03-30: 2.9 times the threshold"


def test_a_column_opens_its_distribution_then_and_now(opened: Callable[..., Any]) -> None:
    page = opened("flights/index.html", width=360)

    column = page.locator("#column-0")
    assert column.get_attribute("open") is None
    page.locator("#heat").get_by_role("link", name="temp", exact=True).press("Enter")
    assert column.get_attribute("open") is not None
    assert page.evaluate("document.activeElement.closest('details').id") == "column-0"
    rows = column.get_by_role("row")
    assert rows.nth(1).get_by_role("cell").all_inner_texts()[-2:] == ["25 %", "75 %"]
    wide = [bar.bounding_box()["width"] for bar in rows.nth(1).locator("rect").all()]
    assert wide[1] == pytest.approx(3 * wide[0], rel=0.05)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_fairness_and_slices_are_drawn_and_said(opened: Callable[..., Any]) -> None:
    page = opened("flights/index.html")

    charts = page.locator("#limits figure")
    assert charts.count() == 3
    assert charts.locator("canvas").count() == 3
    assert charts.nth(0).locator("h3").inner_text() == f"parity of {EVIL}"
    assert charts.nth(0).locator("figcaption").inner_text().endswith("0.1 at most: surely exceeded")
    page.get_by_text("The 3 figures as a table").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="days until 99 %"))
    assert row.get_by_role("cell").all_inner_texts()[:3] == ["6.0", "5.0 to 7.0", "7"]
    link = page.get_by_role("link", name=QUOTED, exact=True)
    link.click()
    page.wait_for_url("**/prediction/**")
    assert page.locator("p").inner_text() == "a story"
    page.go_back()


def test_a_row_of_long_texts_is_read_from_above_on_a_phone(opened: Callable[..., Any]) -> None:
    page = opened("report.html", width=360)

    cell = page.locator("table.stacked td").filter(has_text="quality was lost in").first
    assert cell.bounding_box()["width"] > 250
    assert cell.evaluate("one => getComputedStyle(one, '::before').content") == '"since then"'
    figure = page.locator(".figure-cell").first
    assert figure.evaluate("one => getComputedStyle(one).whiteSpace") == "nowrap"


def test_a_page_prints_on_a4(opened: Callable[..., Any]) -> None:
    page = opened("bikes/index.html", width=1440, color_scheme="dark")
    dark = page.locator("#timeline canvas").bounding_box()["width"]
    page.evaluate(
        """addEventListener("beforeprint", () => {
            window.paper = {
                widths: [...document.querySelectorAll("canvas")].map((one) => one.parentElement.clientWidth),
                line: getComputedStyle(document.documentElement).getPropertyValue("--live").trim(),
                open: document.querySelectorAll("details.decision[open], details.events[open]").length,
            };
        })"""
    )

    assert page.pdf(format="A4").startswith(b"%PDF")

    paper = page.evaluate("window.paper")
    assert max(paper["widths"]) <= 182 / 25.4 * 96  # A4 without its margins
    assert paper["line"] == "#0b6b75"  # on white, whatever the screen's colours are
    assert paper["open"] == 4
    assert page.locator("#timeline canvas").bounding_box()["width"] == dark
    assert page.locator("details[open]").count() == 0
    page.emulate_media(media="print")
    assert not page.locator(".buttons").first.is_visible()
    assert page.locator("#marks button").first.is_visible()
