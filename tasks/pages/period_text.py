"""The events of a period as sentences and rows of text. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from statistics import fmean
from typing import Any

from everfit.tasks.core.figures import in_digits
from everfit.tasks.ledger import Release, TurnStory
from everfit.tasks.monitoring.worth import MonthWorth, worth_heads, worth_rows, worth_summary
from everfit.tasks.pages.elements import spaced
from everfit.tasks.pages.facts import releasing_turn
from everfit.tasks.pages.period import Period, PeriodContent
from everfit.tasks.pages.risk import recorded_level, risk_of

Rows = list[list[str]]
_CHECKED = ("fairness", "parity", "odds", "calibration")


def figures_of(period: Period) -> list[tuple[str, str, str]]:
    """Return the period in figures: name, figure, and what it consists of."""
    live = [look.value for look in period.looks if look.value is not None]
    metric = next((look.metric for look in reversed(period.looks) if look.metric), "live quality")
    lost = sum(look.lost for look in period.looks)
    worth = [value for look in period.looks if (value := look.figures.get("value_per_row")) is not None]
    rollbacks = _number(sum(entry.kind == "rollback" for entry in period.releases), "rollback")
    undone = sum(entry.state == "undone" for entry in period.releases)
    incidents = period.facts.incidents
    opened = sum(incident.state == "open" for incident in incidents)
    seconds = sum(story.turn.seconds or 0.0 for story in period.turns)
    rows = [
        (
            f"Mean {metric}",
            in_digits(fmean(live)) if live else "not known",
            f"{_span(live)} in {len(live):,} looks; a loss counts in {lost:,}"
            if live
            else "no look measured it on mature labels",
        ),
        ("Looks", f"{len(period.looks):,}", _counts(look.verdict for look in period.looks)),
        (
            "Turns",
            f"{len(period.turns):,}",
            "; ".join(filter(None, (_counts(story.turn.state for story in period.turns), f"{seconds:,.0f} s"))),
        ),
        (
            "Releases",
            f"{len(period.releases):,}",
            f"{rollbacks} among them; {undone:,} were undone",
        ),
        (
            "Approvals, trials and outcomes",
            f"{len(period.people):,}",
            _counts(entry.kind for entry in period.people) or "none",
        ),
        ("Incidents", f"{len(incidents):,}", f"{opened} still open"),
    ]
    if worth:
        rows.append(("Mean worth of a row", in_digits(fmean(worth)), f"{_span(worth)} in {len(worth):,} looks"))
    return rows


def people_rows(period: Period) -> Rows:
    """Return what people and trials decided, and how turns came out: when, what, by whom, why, the ledger's row."""
    return [
        [
            _moment(entry.until or entry.at),
            f"{spaced(entry.kind)}: {spaced(entry.verdict)}",
            str(entry.record.get("by") or "everfit"),
            next(iter(entry.reasons), "no reason was recorded"),
            f"decisions/{entry.id}",
        ]
        for entry in period.people
    ]


def release_rows(period: Period) -> Rows:
    """Return the releases: when, what, by whom, why, and the row of the ledger."""
    since = {reign.release.seq: reign.since for reign in period.facts.reigns}
    return [
        [
            _moment(since.get(entry.seq, entry.at)),
            _release(entry),
            entry.actor or "everfit",
            entry.reason or "no reason was recorded",
            f"releases/{entry.model}/{entry.seq}",
        ]
        for entry in period.releases
    ]


def fairness_rows(period: Period) -> Rows:
    """Return what the gate measured of fairness and calibration: turn, check, value, bound, result."""
    rows = []
    for story in period.turns:
        for check in _checks(story):
            name = str(check.get("name") or "")
            if any(word in name.lower() for word in _CHECKED):
                result = "passed" if check.get("passed") else "failed"
                figures = [_figure(check.get("value")), _figure(check.get("bound"))]
                rows.append([_moment(story.turn.window.until), name, *figures, result, f"turns/{story.turn.id}"])
    return rows


def worth_table(period: Period) -> tuple[str, list[str], Rows]:
    """Return what the loop was worth: one sentence, the heads, and a row for each month with its row of the ledger."""
    months = [MonthWorth.recall(entry.record) for entry in period.worth]
    if not months:
        return worth_summary(months), [], []
    places = [*(f"decisions/{entry.id}" for entry in period.worth), ""]
    rows = [[*row, place] for row, place in zip(worth_rows(months), places, strict=False)]
    return worth_summary(months), [*worth_heads(months), "in the ledger"], rows


def incident_rows(period: Period) -> Rows:
    """Return the incidents: opened, closed, severity, what, why, who looks after it, and the row of the ledger."""
    return [
        [
            _moment(incident.opened_at),
            "open" if incident.closed_at is None else _moment(incident.closed_at),
            incident.severity,
            str(incident.alert.get("what") or incident.subject),
            next(iter(map(str, incident.alert.get("why") or ())), ""),
            incident.seen_by or "nobody",
            f"incidents/{incident.id}",
        ]
        for incident in period.facts.incidents
    ]


def risk_rows(period: Period, content: PeriodContent) -> Rows:
    """Return the risk of each champion as its gate saw it, and reassessed by what has happened in its time.

    Args:
        period: The period.
        content: The content of the report.
    """
    stories = {story.turn.id: story for story in period.stories}
    rows = []
    for place, reign in enumerate(period.reigns):
        later = next(iter(period.reigns[place + 1 :]), None)
        end = content.until if later is None else later.since
        story = stories.get(releasing_turn(reign, period.facts.reigns))
        found = risk_of(
            reign,
            end,
            level=None if story is None else recorded_level(story.decisions),
            looks=period.looks,
            incidents=period.facts.incidents,
            after=later,
        )
        span = f"{_moment(reign.since)} to {_moment(end)}"
        happened = "; ".join(found.happened) or "no trouble"
        rows.append(
            [f"version {reign.version}", span, found.before or "not recorded", happened, found.now or "not known"]
        )
    return rows


def _checks(story: TurnStory) -> Iterator[dict[str, Any]]:
    for entry in story.decisions:
        for check in (entry.record.get("decision") or {}).get("checks") or ():
            if isinstance(check, dict):
                yield check


def _release(entry: Release) -> str:
    kind = {"promotion": "released", "rollback": "rolled back to", "outside": "set by hand:"}[entry.kind]
    undone = " (undone)" if entry.state == "undone" else ""
    return f"{kind} version {entry.version}{undone}"


def _span(values: list[float]) -> str:
    return f"between {in_digits(min(values))} and {in_digits(max(values))}"


def _counts(names: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {spaced(name)}" for name, count in Counter(names).most_common())


def _figure(value: Any) -> str:
    return in_digits(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else "-"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
