"""The report of a period as HTML that needs no network, and the way back from the HTML to its content. Pure."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from everfit.blocks.errors import EverfitError, LedgerError
from everfit.tasks.pages.chart_text import chart_data
from everfit.tasks.pages.elements import coded, table
from everfit.tasks.pages.evidence import look_evidence, turn_evidence
from everfit.tasks.pages.limit_charts import limits_section
from everfit.tasks.pages.marks import marks_of
from everfit.tasks.pages.markup import Child, Html, document, tag
from everfit.tasks.pages.model_status import ModelStatus
from everfit.tasks.pages.period import Period, PeriodContent, period_of
from everfit.tasks.pages.period_text import (
    Rows,
    fairness_rows,
    figures_of,
    incident_rows,
    people_rows,
    release_rows,
    risk_rows,
    worth_table,
)
from everfit.tasks.pages.risk import KINDS_OF_TROUBLE
from everfit.tasks.pages.sections import decision_list, drift_map, event_list, timeline
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.states import STATES
from everfit.tasks.pages.status import status_of

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_DECIDED = ["when", "what", "by", "why", "in the ledger"]
_NO_LINKS = {"looks": "", "turns": "", "prefect": ""}


def period_page(content: PeriodContent) -> str:
    """Return the report of a period. Equal content gives equal HTML.

    Args:
        content: The content of the report.
    """
    period, series = period_of(content), Series()
    for look in content.looks:
        series.add(look)
    status = status_of(period.facts)
    marks = [
        mark.model_dump(mode="json")
        for mark in marks_of(period.facts)
        if content.since <= mark.at.astimezone(UTC) <= content.until
    ]
    reigns = [[max(reign.since, content.since).isoformat(), reign.version] for reign in period.reigns]
    chart = {"series": series.dump(), "marks": marks, "reigns": reigns}
    entries = [
        *(look_evidence(entry) for entry in period.seen),
        *(turn_evidence(story) for story in period.turns),
    ]
    body = [
        tag("a", "Skip to content", href="#main", class_="skip"),
        _header(content, status),
        tag(
            "main",
            _unfit(content),
            _figures(period),
            timeline(status, series, chart),
            limits_section(series),
            drift_map(series),
            _worth(period),
            _rows(
                "Approvals, trials and outcomes",
                _DECIDED,
                people_rows(period),
                "",
            ),
            _rows("Releases", _DECIDED, release_rows(period), ""),
            _risk(period, content),
            _rows(
                "Fairness and calibration at the gate",
                ["when", "check", "value", "bound", "result", "in the ledger"],
                fairness_rows(period),
                "The spec asks for no check of fairness or calibration, or no turn came to it.",
            ),
            _rows(
                "Incidents",
                ["opened", "closed", "severity", "what", "why", "looked after by", "in the ledger"],
                incident_rows(period),
                "",
            ),
            decision_list(entries, _NO_LINKS, "Turns, and looks that found something"),
            event_list(marks),
            _proof(content, period),
            id="main",
        ),
        tag("footer", tag("p", f"Written by everfit {content.everfit} at ", _time(content.written_at), ".")),
    ]
    return document(
        _title(content),
        body,
        data=chart_data(status, chart, series) | {"report": content.model_dump(mode="json")},
        style=("uplot/uplot.min.css", "page.css"),
        scripts=("uplot/uplot.min.js", "page.js"),
    )


def report_content(page: str) -> PeriodContent:
    """Return the content of a report from its HTML.

    Raises:
        EverfitError: The text is no report of everfit.
    """
    found = _DATA.search(page)
    try:
        data: Any = json.loads(found[1]) if found is not None else {}
        return PeriodContent.recall(data["report"])
    except (ValueError, KeyError, TypeError, LedgerError) as error:
        raise EverfitError(
            "the file is no report that everfit has written; `everfit report MODEL --since T` writes one"
        ) from error


def _title(content: PeriodContent) -> str:
    return f"{content.model}: {content.since:%Y-%m-%d} to {content.until:%Y-%m-%d}"


def _header(content: PeriodContent, status: ModelStatus) -> Html:
    state = STATES[status.state]
    champion = "no champion" if status.champion is None else f"version {status.champion} as champion"
    reason = f": {status.reason}" if status.reason else ""
    return tag(
        "header",
        tag("h1", _title(content)),
        tag("p", f"At the end of the period: {state.label}, with {champion}{reason}", class_="lead"),
        tag("p", "A report of what was decided, by whom, on which evidence. All times are UTC.", class_="quiet"),
    )


def _unfit(content: PeriodContent) -> Html | None:
    """Return what did not fit the ledger's chain; None if all did."""
    if not content.unfit:
        return None
    return tag(
        "section",
        tag("h2", "The ledger was changed beside everfit"),
        tag("p", "When this report was written, not all rows were as the ledger's chain of hashes recorded them:"),
        tag("ul", [tag("li", text) for text in content.unfit]),
        class_="alarm",
    )


def _figures(period: Period) -> Html:
    cards = [
        tag("div", tag("dt", name), tag("dd", figure, class_="figure"), tag("dd", words))
        for name, figure, words in figures_of(period)
    ]
    return tag("section", tag("h2", "The period in figures"), tag("dl", cards, class_="cards"))


def _rows(title: str, heads: list[str], rows: Rows, none: str) -> Html:
    content: Child = (
        table(heads, rows, label=title) if rows else tag("p", none or "None in this period.", class_="quiet")
    )
    return tag("section", tag("h2", title), content)


def _worth(period: Period) -> Html:
    words, heads, rows = worth_table(period)
    content = table(heads, rows, label="Worth of the loop") if rows else None
    return tag("section", tag("h2", "Worth of the loop"), tag("p", words), content)


def _risk(period: Period, content: PeriodContent) -> Html:
    rows = risk_rows(period, content)
    heads = ["champion", "in the period", "risk at its release", "since then", "risk reassessed"]
    note = tag(
        "p",
        f"The risk goes up one step for each kind of trouble: {KINDS_OF_TROUBLE}.",
        class_="quiet",
    )
    none = tag("p", "There was no champion in this period.", class_="quiet")
    return tag("section", tag("h2", "Risk, reassessed"), [note, table(heads, rows, label="Risk")] if rows else none)


def _proof(content: PeriodContent, period: Period) -> Html:
    left = len(content.looks) - period.proven
    parts: list[Child] = [
        tag(
            "p",
            "The file carries the rows that it names and the ledger's chain of hashes over them. "
            "Somebody with everfit, and without the ledger, verifies both and that this text follows from the rows by",
        ),
        tag("pre", tag("code", "everfit verify-report FILE"), tabindex=0, aria_label="Command"),
        tag("p", "The newest link of the chain is ", tag("code", content.proof.head), "."),
    ]
    if period.signed:
        newest = period.signed[-1]
        signed = f"{len(period.signed)} releases are signed, the newest at link {newest.link.partition(':')[0]}."
        parts.append(tag("p", signed))
    else:
        parts.append(
            tag(
                "p",
                coded(
                    "No release is signed, so a verifier needs a link that was noted elsewhere (`--noted`), such as "
                    "one that `everfit verify` printed or a version's tag in MLflow."
                ),
            )
        )
    if left:
        parts.append(
            tag(
                "p",
                f"The rows of {left:,} healthy looks are left out for size. Their figures are in the charts, and "
                "this file does not prove them.",
            )
        )
    parts.append(
        tag("p", "Incidents change while they last, so no chain covers them. The looks behind them are covered.")
    )
    return tag("section", tag("h2", "Proof"), parts)


def _time(at: datetime) -> Html:
    return tag("time", f"{at:%Y-%m-%d %H:%M:%S} UTC", datetime=at.isoformat())
