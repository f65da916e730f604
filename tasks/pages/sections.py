"""Sections that pages share: timeline, drift, decisions with their evidence, events. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from everfit.tasks.monitoring.window_columns import WindowColumns
from everfit.tasks.pages.chart_text import drift_summary, heat_columns, monthly_rows, quality_summary
from everfit.tasks.pages.column_bars import column_bars
from everfit.tasks.pages.elements import spaced, table, time_of
from everfit.tasks.pages.marks import KINDS
from everfit.tasks.pages.markup import Child, Html, anchor, tag
from everfit.tasks.pages.model_status import ModelStatus
from everfit.tasks.pages.series import Series

_LETTERS = (
    "Above: T turn, R release, ↶ rollback, H champion set by hand, A approval, L trial on live traffic, O outcome of a "
    "turn, ! incident; +2 stands for two more events."
)
_HINT = "Drag to zoom, double-click for all. Keys on the chart: left and right, + and -, 0 for all."
_EVENTS = 100
"""The newest events that are listed; the timeline shows all."""


def timeline(status: ModelStatus, series: Series, content: dict[str, Any]) -> Html:
    """Return the chart of live quality with the events, its sentence and its table.

    Args:
        status: The state of the model.
        series: The looks.
        content: The page's data: `reigns`, and the dumped `series`.
    """
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
            tag("p", _LETTERS, tag("span", f" {_HINT}", class_="on-screen"), class_="quiet"),
            tag(
                "details",
                tag("summary", "The timeline as a table"),
                table(heads, monthly_rows(series), "Live quality by month"),
            ),
            aria_label="Timeline",
        ),
        tag("div", id="panels", class_="panels"),
        tag("noscript", tag("p", "The charts need JavaScript; the tables show the same figures.")),
    )


def drift_map(series: Series, columns: WindowColumns | None = None) -> Html:
    """Return the heat map of drift by column and day, and beneath it each column then and now.

    Args:
        series: The looks.
        columns: The distributions of the columns in the newest window.
    """
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
            column_bars(columns, heat_columns(series)),
            aria_label="Drift by column",
        ),
    )


def decision_list(entries: Sequence[dict[str, Any]], links: Mapping[str, str], title: str = "Last decisions") -> Html:
    """Return turns and looks as sentences, the newest first, each with its evidence folded beneath.

    Args:
        entries: As `look_evidence` and `turn_evidence` return them.
        links: The addresses of the page's `PageLinks`.
        title: The heading.
    """
    ordered = sorted(entries, key=lambda entry: (entry["until"], entry["kind"]), reverse=True)
    if not ordered:
        return tag("section", tag("h2", title), tag("p", "No decision was made yet.", class_="quiet"))
    return tag("section", tag("h2", title), [_decision(entry, links) for entry in ordered])


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
            table(["check", "value", "bound", "result", "reason"], entry["checks"], "Checks of the gate")
            if entry["checks"]
            else None,
            table(["decision", "verdict", "by", "reason"], entry["decided"], "Decisions") if entry["decided"] else None,
        ]
    else:
        parts.append(table(["area", "status", "finding"], entry["areas"], "Evidence") if entry["areas"] else None)
    parts.append(table(["the sum", "value", "from"], entry["figures"], "The sum") if entry["figures"] else None)
    return parts


def event_list(marks: Sequence[dict[str, Any]]) -> Html:
    """Return the newest events as a table, each with its row in the ledger.

    Args:
        marks: As `Mark` dumps them, oldest first.
    """
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
    return tag(
        "section", tag("h2", "Events"), tag("details", named, table(heads, rows, "Events"), note, class_="events")
    )


def _decision(entry: dict[str, Any], links: Mapping[str, str]) -> Html:
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


def _places(entry: dict[str, Any], links: Mapping[str, str]) -> Html:
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
