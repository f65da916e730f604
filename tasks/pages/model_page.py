"""The page of a model as HTML that needs no network. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from everfit.tasks.core.figures import in_digits
from everfit.tasks.pages.chart_text import chart_data, drift_summary, monthly_rows, quality_summary
from everfit.tasks.pages.marks import KINDS
from everfit.tasks.pages.markup import Child, Html, anchor, document, tag
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.states import STATES
from everfit.tasks.pages.status import ModelStatus, moment
from everfit.tasks.pages.words import quality_words

_HINT = (
    "Above: T turn, R release, ↶ rollback, H champion set by hand, A approval, L trial on live traffic, O outcome of a "
    "turn, ! incident; +2 stands for two more events. Drag to zoom, double-click for all. Keys on the chart: left and "
    "right, + and -, 0 for all."
)
_EVENTS = 100
"""The newest events that are listed; the timeline shows all."""


def model_page(status: ModelStatus, content: dict[str, Any], series: Series) -> str:
    """Return the page of a model.

    Args:
        status: The state of the model.
        content: The page's data: `looks`, `turns`, `marks`, `reigns`, `links`, `limits`.
        series: All looks.
    """
    body = [
        tag("a", "Skip to content", href="#main", class_="skip"),
        _header(status),
        tag(
            "main",
            _cards(status, content.get("limits") or ""),
            _asks(status, content["links"]),
            _timeline(status, series, content),
            _drift(series),
            _decisions(content),
            _events(content["marks"]),
            id="main",
        ),
        _footer(content),
    ]
    return document(
        f"{status.model}: {STATES[status.state].label}",
        body,
        data=chart_data(status, content, series),
        style=("uplot/uplot.min.css", "page.css"),
        scripts=("uplot/uplot.min.js", "page.js"),
    )


def chip(state: str) -> Html:
    """Return a state as a coloured label."""
    declared = STATES[state]  # type: ignore[index]
    return tag("span", declared.label, class_=f"chip {declared.tone}", title=declared.meaning)


def time_of(at: datetime | str) -> Html:
    """Return a moment as an element, in UTC."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return tag("time", moment(at.astimezone(UTC)), datetime=at.isoformat())


def spaced(name: str) -> str:
    """Return the name of a state or verdict as words.

    Example:
        >>> spaced("AwaitingApproval"), spaced("roll_back")
        ('awaiting approval', 'roll back')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> Html:
    """Return a table that scrolls by itself where it is wider than the page."""
    head = tag("tr", [tag("th", name, scope="col") for name in heads])
    body = [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in rows]
    named = tag("caption", caption) if caption else None
    return tag(
        "div",
        tag("table", named, tag("thead", head), tag("tbody", body)),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption or heads[0],
    )


def _header(status: ModelStatus) -> Html:
    way = tag("nav", anchor("All models", "../index.html"), " / ", tag("span", status.model), aria_label="Breadcrumb")
    lines: list[Child] = [tag("h1", status.model, " ", chip(status.state))]
    if status.reason:
        lines.append(tag("p", status.reason, class_="lead"))
    if status.next:
        lines.append(tag("p", _code(status.next), class_="next"))
    return tag("header", way, lines)


def _cards(status: ModelStatus, limits: str) -> Html:
    champion: tuple[Child, Child] = ("none yet", "No version was released yet.")
    if status.champion is not None and status.champion_since is not None:
        by = f", by {status.champion_by}" if status.champion_by else ""
        champion = (f"version {status.champion}", ["since ", time_of(status.champion_since), by])
    quality: tuple[Child, Child] = ("not known", status.quality_unknown or "It is measured when labels are mature.")
    if status.quality is not None:
        quality = (in_digits(status.quality.value), quality_words(status))
    look, turn = status.last_look, status.last_turn
    looked: tuple[Child, Child] = ("none yet", "everfit monitor looks at the newest window.")
    if look is not None:
        looked = (spaced(look.verdict), [time_of(look.until), ": ", look.headline])
    turned: tuple[Child, Child] = ("none yet", "everfit train runs the first one.")
    if turn is not None:
        turned = (spaced(turn.state), [time_of(turn.window.until), ": ", status.turn_summary])
    held = limits or "They are in the spec, and are shown after the next look."
    cards = [
        ("Champion", *champion),
        ("Live quality", *quality),
        ("Last look", *looked),
        ("Last turn", *turned),
        ("Limits of automatic turns", None, held),
    ]
    return tag(
        "section",
        tag("h2", "Now", class_="hidden"),
        tag(
            "dl",
            [
                tag(
                    "div",
                    tag("dt", name),
                    tag("dd", figure, class_="figure") if figure is not None else None,
                    tag("dd", words),
                )
                for name, figure, words in cards
            ],
            class_="cards",
        ),
        aria_label="Now",
    )


def _asks(status: ModelStatus, links: dict[str, str]) -> Html:
    if not status.asks:
        return tag("section", tag("h2", "Waits for a person"), tag("p", "Nothing waits for a person.", class_="quiet"))
    items = []
    for ask in status.asks:
        seen = f"; {ask.seen_by} looks after it" if ask.seen_by else ""
        places: list[Child] = []
        if ask.page:
            places.append(tag("p", anchor("Open the evidence", ask.page)))
        if ask.what.startswith("approve") and links.get("prefect"):
            places.append(tag("p", anchor("Open the form in Prefect", f"{links['prefect'].rstrip('/')}/runs")))
        command = tag("pre", tag("code", ask.command), tabindex=0, aria_label="Command") if ask.command else None
        head = tag("h3", ask.what)
        items.append(
            tag("li", head, tag("p", "since ", time_of(ask.since), seen), tag("p", ask.reason), places, command)
        )
    return tag("section", tag("h2", "Waits for a person"), tag("ul", items, class_="asks"))


def _timeline(status: ModelStatus, series: Series, content: dict[str, Any]) -> Html:
    summary = quality_summary(status, series, content["reigns"])
    if not len(series):
        return tag("section", tag("h2", "Timeline"), tag("p", summary, class_="quiet"))
    swatches = [
        ("live", "live quality, with its 95 % interval"),
        ("expected", "expected from the hold-out"),
        ("bound", "the worst that is no loss"),
        ("estimate", "estimated without labels"),
    ]
    legend = tag(
        "ul",
        [
            tag("li", tag("span", class_=f"swatch {name}", aria_hidden="true"), text)
            for name, text in swatches
            if name != "estimate" or "estimate" in content["series"]["columns"]
        ],
        class_="legend",
    )
    buttons = [
        tag("button", name, type="button", data_days=days, aria_pressed="true" if days == 0 else "false")
        for name, days in (("30 days", 30), ("90 days", 90), ("1 year", 365), ("All", 0))
    ]
    heads = ["month", "looks", "mean", "lowest", "highest", "worst look", "champions"]
    return tag(
        "section",
        tag("h2", "Timeline"),
        tag(
            "figure",
            tag("div", buttons, class_="buttons", role="group", aria_label="Span of the timeline"),
            legend,
            tag("div", id="marks", class_="marks", role="group", aria_label="Events"),
            tag("div", id="timeline", class_="chart", tabindex=0, role="group", aria_labelledby="timeline-text"),
            tag("output", id="readout", class_="readout"),
            tag("div", id="mark-text", class_="mark-text", hidden=True, aria_live="polite"),
            tag("figcaption", summary, id="timeline-text"),
            tag("p", _HINT, class_="quiet"),
            tag(
                "details",
                tag("summary", "The timeline as a table"),
                table(heads, monthly_rows(series), "Live quality by month"),
            ),
        ),
        tag("div", id="panels", class_="panels"),
        tag("noscript", tag("p", "The charts need JavaScript; the tables show the same figures.")),
    )


def _drift(series: Series) -> Html:
    text = drift_summary(series)
    if not series.days:
        return tag("section", tag("h2", "Drift by column"), tag("p", text, class_="quiet"))
    scale = [
        tag("li", tag("span", class_=f"swatch heat{level}", aria_hidden="true"), name)
        for level, name in enumerate(("below half the threshold", "near it", "beyond it", "twice it", "four times it"))
    ]
    return tag(
        "section",
        tag("h2", "Drift by column"),
        tag(
            "figure",
            tag("ul", scale, class_="legend"),
            tag("div", id="heat", class_="scroll", tabindex=0, role="region", aria_label="Drift by column and time"),
            tag("figcaption", text),
        ),
    )


def _decisions(content: dict[str, Any]) -> Html:
    entries = [*content["looks"], *content["turns"].values()]
    ordered = sorted(entries, key=lambda entry: (entry["until"], entry["kind"]), reverse=True)
    if not ordered:
        return tag("section", tag("h2", "Last decisions"), tag("p", "No decision was made yet.", class_="quiet"))
    return tag("section", tag("h2", "Last decisions"), [_decision(entry, content["links"]) for entry in ordered])


def _decision(entry: dict[str, Any], links: dict[str, str]) -> Html:
    noun = "Turn" if entry["kind"] == "turn" else "Look"
    reasons = entry["reasons"] or ["no reason was recorded"]
    head = tag(
        "summary",
        tag("span", f"{noun}: {spaced(entry['verdict'])}", class_="tagged"),
        " ",
        time_of(entry["until"]),
        tag("span", f" {reasons[0]}"),
    )
    parts: list[Child] = [tag("ul", [tag("li", reason) for reason in reasons[1:]])] if reasons[1:] else []
    parts += evidence_tables(entry)
    parts.append(_places(entry, links))
    return tag("details", head, parts, class_="decision", id=f"{entry['kind']}-{entry['id']}")


def evidence_tables(entry: dict[str, Any]) -> list[Child]:
    """Return the evidence of a look or a turn as tables.

    Args:
        entry: As `look_evidence` or `turn_evidence` returns it.
    """
    parts: list[Child] = []
    if entry["kind"] == "turn":
        parts += [
            table(["fact", "value"], entry["facts"], "The turn") if entry["facts"] else None,
            table(["metric", "challenger", "champion", "baseline"], entry["metrics"], "On the hold-out")
            if entry["metrics"]
            else None,
            table(["check", "value", "bound", "", "reason"], entry["checks"], "Checks of the gate")
            if entry["checks"]
            else None,
            table(["decision", "verdict", "by", "reason"], entry["decided"], "Decisions") if entry["decided"] else None,
        ]
    else:
        parts.append(table(["area", "status", "finding"], entry["areas"], "Evidence") if entry["areas"] else None)
    parts.append(table(["the sum", "value", "from"], entry["figures"], "The sum") if entry["figures"] else None)
    return parts


def _places(entry: dict[str, Any], links: dict[str, str]) -> Html:
    runs, base = entry["runs"], links["turns" if entry["kind"] == "turn" else "looks"]
    places: list[Child] = [tag("li", "Ledger: ", tag("code", entry["id"]))]
    if run := runs.get("mlflow"):
        page = f"{base}{run}"
        places.append(tag("li", anchor("MLflow run", page) if base else ["MLflow run ", tag("code", run)]))
        if base and entry["kind"] == "turn":
            places.append(tag("li", anchor("Great Expectations' page", f"{page}/artifacts/validation.html")))
        if base and runs.get("report"):
            places.append(tag("li", anchor("Evidently's page", f"{page}/artifacts/{runs['report']}")))
    if (run := runs.get("prefect")) and links["prefect"]:
        places.append(tag("li", anchor("Prefect run", f"{links['prefect'].rstrip('/')}/runs/flow-run/{run}")))
    if entry["kind"] == "turn":
        places.append(tag("li", tag("code", f"everfit explain {entry['id']}")))
    return tag("ul", places, class_="places")


def _events(marks: list[dict[str, Any]]) -> Html:
    if not marks:
        return tag("section", tag("h2", "Events"), tag("p", "Nothing has happened yet.", class_="quiet"))
    rows = [
        [time_of(mark["at"]), KINDS[mark["kind"]], mark["title"], mark["text"], tag("code", mark["source"])]
        for mark in reversed(marks[-_EVENTS:])
    ]
    left = len(marks) - len(rows)
    note = tag("p", f"{left:,} earlier ones are in page.json and in everfit history.", class_="quiet") if left else None
    heads = ["when", "event", "what", "why", "in the ledger"]
    named = tag("summary", f"The newest {len(rows)} of {len(marks):,} events")
    return tag("section", tag("h2", "Events"), tag("details", named, table(heads, rows, "Events"), note))


def _footer(content: dict[str, Any]) -> Html:
    return tag(
        "footer",
        tag(
            "p",
            "Written at ",
            time_of(content["written_at"]),
            " from the ledger. All times are UTC. ",
            anchor("The data of this page", "page.json"),
            ". ",
            tag("code", f"everfit status {content['model']}"),
            " says the same in a terminal.",
        ),
    )


def _code(text: str) -> list[Child]:
    """Return text with what is between backticks as code."""
    return [tag("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))]
