"""A look at a model in short: what the ledger's record of a triage decision says. Pure.

The record is read as plain data, because it may come from any version of everfit: what it lacks is unknown.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import AwareDatetime, Field

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.metric_scale import MetricScale, facts_of
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import Decision
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.delay_signal import HOURS_BELOW, DelaySignal
from everfit.tasks.triage.early_signal import EarlySignal

_DAY_SECONDS = 86_400
CERTAIN = 1.96
"""Standard errors on each side of an interval of 95 %."""


class LimitedLook(Record):
    """A figure of a look that has a bound: a difference between groups, the calibration error, quality of a slice.

    Attributes:
        name: Such as `fairness.parity_of_sex`, `calibration.error` or `slice.sex=f`.
        label: The name for people.
        low: The lower end of its interval.
        high: The upper end.
        bound: The worst value that is no problem; None if the spec sets none.
        expected: From the hold-out; None if that is not known.
        beyond: Whether it is surely beyond its bound.
    """

    name: str
    label: str
    value: float
    low: float
    high: float
    bound: float | None = None
    expected: float | None = None
    beyond: bool = False


class LookSummary(Record):
    """One look.

    Attributes:
        id: The id of the decision in the ledger.
        until: The end of the window.
        at: When it was recorded.
        headline: The first reason.
        champion: The version that was looked at.
        metric: The primary metric; empty if the look names none.
        value: Live quality on mature labels.
        error: Its standard error.
        rows: The number of rows with mature labels.
        expected: The quality expected on these rows from the champion's hold-out.
        bound: The worst quality that still counts as no loss.
        lost: Whether the loss counts.
        sentence: Live quality against the expected one, in words.
        estimate: Quality estimated without labels.
        estimate_error: Its standard error.
        early: Quality by labels that are known before the maturity, in words; empty if it was not measured.
        label_delay: How long labels take against the maturity, in words; empty if that was not measured.
        delay_unknown: Why that was not measured.
        coverage: The share of mature rows that have a label.
        predictions: The number of predictions in the window.
        drift: Whether the data has drifted; None if that was not measured.
        drifted: The columns that have drifted; None if drift was not measured.
        columns: The drift of each column as a multiple of its threshold.
        failures: The areas whose measurement broke, with the reason.
        unmeasured: Why live quality is not known; empty if it is.
        figures: Further numbers by name, such as `p99_ms`.
        limited: Those of fairness, calibration, slices and the label delay that were measured.
        delays: The label delay as rows for people: what, now, at training.
        runs: The runs with the evidence: `mlflow`, `prefect`.
    """

    id: str
    until: AwareDatetime
    at: AwareDatetime
    verdict: str
    rule: str = ""
    reasons: tuple[str, ...] = ()
    champion: int | None = None
    metric: str = ""
    value: float | None = None
    error: float | None = None
    rows: int | None = None
    expected: float | None = None
    bound: float | None = None
    lost: bool = False
    sentence: str = ""
    estimate: float | None = None
    estimate_error: float | None = None
    early: str = ""
    label_delay: str = ""
    delay_unknown: str = ""
    coverage: float | None = None
    predictions: int | None = None
    drift: bool | None = None
    drifted: tuple[str, ...] | None = None
    columns: dict[str, float] = Field(default_factory=dict)
    failures: tuple[str, ...] = ()
    unmeasured: str = ""
    figures: dict[str, float] = Field(default_factory=dict)
    limited: tuple[LimitedLook, ...] = ()
    delays: tuple[tuple[str, str, str], ...] = ()
    runs: dict[str, str] = Field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The first reason."""
        return self.reasons[0] if self.reasons else self.verdict

    @property
    def interval(self) -> tuple[float, float] | None:
        """Live quality at 95 %; None if it or its error is not known."""
        if self.value is None or self.error is None:
            return None
        return self.value - CERTAIN * self.error, self.value + CERTAIN * self.error


def look_of(decision: Decision) -> LookSummary:
    """Return a look from the ledger's row.

    Args:
        decision: A decision of triage.
    """
    record = decision.record
    signals, made = _part(record, "signals"), _part(record, "decision")
    quality, estimate = _part(signals, "quality"), _part(signals, "estimate")
    loss = _part(made, "loss")
    measured = quality.get("status") == "measured"
    expected = _number(loss.get("expected"))
    service = _part(signals, "service_health") or _part(signals, "operations")
    drift, data = _part(signals, "drift"), _part(signals, "data")
    given = _part(service, "figures").items()
    figures = {name: number for name, value in given if (number := _number(value)) is not None}
    if (worth := _number(quality.get("value_per_row"))) is not None:
        figures["value_per_row"] = worth
    estimated = estimate.get("status") == "measured"
    return LookSummary(
        id=decision.id,
        until=decision.until or decision.at,
        at=decision.at,
        verdict=decision.verdict,
        rule=str(made.get("rule") or ""),
        reasons=decision.reasons,
        champion=_whole(_part(signals, "reference").get("version")),
        metric=str(quality.get("metric") or estimate.get("metric") or ""),
        value=_number(quality.get("value")) if measured else None,
        error=_number(quality.get("standard_error")) if measured else None,
        rows=_whole(quality.get("rows")) if measured else None,
        expected=expected,
        bound=_bound(quality, expected, _number(loss.get("bound"))),
        lost=bool(loss.get("lost") or _part(made, "estimated_loss").get("lost")),
        sentence=str(loss.get("summary") or loss.get("words") or ""),
        estimate=_number(estimate.get("value")) if estimated else None,
        estimate_error=_number(estimate.get("standard_error")) if estimated else None,
        early=_text(EarlySignal, _part(signals, "early")),
        label_delay=_text(DelaySignal, _part(signals, "delays")),
        delay_unknown=str(_part(signals, "delays").get("reason") or ""),
        coverage=_number(quality.get("coverage")),
        predictions=_whole(service.get("predictions")) or _whole(data.get("rows")),
        drift=_flag(drift.get("drifted")) if drift.get("status") == "measured" else None,
        drifted=tuple(map(str, drift.get("columns") or ())) if drift.get("status") == "measured" else None,
        columns={str(name): float(value) for name, value in _part(record, "columns").items() if _known(value)},
        failures=tuple(_failures(signals)),
        unmeasured="" if measured else str(quality.get("reason") or "live quality was not measured"),
        figures=figures,
        limited=(*_limited(signals), *_slices(quality), *_delays(_part(signals, "delays"))),
        delays=tuple(_delay_rows(_part(signals, "delays"))),
        runs={str(name): str(value) for name, value in _part(record, "runs").items()},
    )


def _limited(signals: Mapping[str, Any]) -> Iterator[LimitedLook]:
    """Yield the differences between groups, and the calibration error, with their limits."""
    for area in ("fairness", "calibration"):
        for figure in _rows(_part(signals, area), "figures"):
            value, low, high = (_number(figure.get(name)) for name in ("value", "low", "high"))
            if value is None or low is None or high is None:
                continue
            name, limit = str(figure.get("name")), _number(figure.get("limit"))
            yield LimitedLook(
                name=f"{area}.{name}",
                label=str(figure.get("label") or name),
                value=value,
                low=low,
                high=high,
                bound=limit,
                beyond=limit is not None and low > limit,
            )


def _slices(quality: Mapping[str, Any]) -> Iterator[LimitedLook]:
    """Yield the quality of the slices."""
    if quality.get("status") != "measured":
        return
    for one in _rows(quality, "slices"):
        value, error = _number(one.get("value")), _number(one.get("standard_error"))
        if value is None or error is None:
            continue
        name = str(one.get("name"))
        yield LimitedLook(
            name=f"slice.{name}",
            label=f"{quality.get('metric') or 'quality'} where {name.replace('=', ' is ', 1)}",
            value=value,
            low=value - CERTAIN * error,
            high=value + CERTAIN * error,
            bound=_number(one.get("bound")),
            expected=_number(one.get("expected")),
            beyond=bool(one.get("lost")),
        )


def _delays(delays: Mapping[str, Any]) -> Iterator[LimitedLook]:
    """Yield the delay of the labels, whose bound is the maturity."""
    days, low, high = (_number(delays.get(name)) for name in ("days", "lower", "upper"))
    if delays.get("status") != "measured" or days is None or low is None or high is None:
        return
    try:
        signal = DelaySignal.recall(dict(delays))
    except LedgerError:
        return
    bound = None if signal.maturity is None else signal.maturity.total_seconds() / _DAY_SECONDS
    expected = None if signal.training is None else signal.training.days
    label = "days until 99 % of the labels are known"
    facts = {"value": days, "low": low, "high": high, "bound": bound, "expected": expected, "beyond": signal.too_short}
    yield LimitedLook(name="labels.delay", label=label, **facts)


def _delay_rows(delays: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield how long labels take: by which share, now, and in the champion's hold-out."""
    if delays.get("status") != "measured":
        return
    before = _part(delays, "training")
    for name, text in (("half", "half of the labels"), ("most", "90 % of the labels"), ("days", "99 % of the labels")):
        now, then = _number(delays.get(name)), _number(before.get(name))
        if now is not None or then is not None:
            yield f"{text} are known after", _in_days(now), _in_days(then)
    now, then = _number(delays.get("coverage")), _number(before.get("coverage"))
    yield "rows that get a label", _percent(now), _percent(then)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _in_days(days: float | None) -> str:
    """Return a span in days, or in hours if it is short."""
    if days is None:
        return "-"
    if days < HOURS_BELOW:
        return f"{24 * days:.3g} hours"
    return f"{days:.3g} days"


def _rows(content: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = content.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _text(kind: type[Area], kept: Mapping[str, Any]) -> str:
    """Return what an area found, in words; empty if it was not measured or can't be read."""
    if kept.get("status") != "measured":
        return ""
    try:
        return kind.recall(dict(kept)).details
    except LedgerError:
        return ""


def _failures(signals: Mapping[str, Any]) -> list[str]:
    areas: list[tuple[str, Any]] = []
    for name, value in signals.items():
        areas += [(name, area) for area in (value if isinstance(value, list) else [value])]
    failed = [(name, area) for name, area in areas if isinstance(area, Mapping) and area.get("status") == "failed"]
    return [f"{name.replace('_', ' ')}: {area.get('reason') or 'the measurement failed'}" for name, area in failed]


def _bound(quality: Mapping[str, Any], expected: float | None, bound: float | None) -> float | None:
    """Return the worst quality that is no loss, in the metric's unit."""
    if expected is None or bound is None:
        return None
    scale = _part(quality, "baseline").get("scale")
    try:
        facts = facts_of(str(quality.get("metric") or ""), None if scale is None else MetricScale.recall(scale))
    except (ValueError, LedgerError):
        return None
    return expected - bound if facts.greater_is_better else expected + bound


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    return part if isinstance(part, Mapping) else {}


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _number(value: Any) -> float | None:
    return float(value) if _known(value) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return int(value) if _known(value) and not isinstance(value, bool) else None
