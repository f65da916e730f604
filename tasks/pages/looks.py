"""A look at a model in short: what the ledger's record of a triage decision says. Pure.

The record is read as plain data, because it may come from any version of everfit: what it lacks is unknown.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime, Field

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.metric_scale import MetricScale, facts_of
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import Decision
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.delay_signal import DelaySignal
from everfit.tasks.triage.early_signal import EarlySignal

CERTAIN = 1.96
"""Standard errors on each side of an interval of 95 %."""


class LookSummary(Record):
    """One look.

    Attributes:
        id: Of the decision in the ledger.
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
        coverage: The share of mature rows that have a label.
        predictions: The number of predictions in the window.
        drifted: The columns that have drifted; None if drift was not measured.
        columns: The drift of each column as a multiple of its threshold.
        failures: The areas whose measurement broke, with the reason.
        unmeasured: Why live quality is not known; empty if it is.
        figures: Further numbers by name, such as `p99_ms`.
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
    coverage: float | None = None
    predictions: int | None = None
    drifted: tuple[str, ...] | None = None
    columns: dict[str, float] = Field(default_factory=dict)
    failures: tuple[str, ...] = ()
    unmeasured: str = ""
    figures: dict[str, float] = Field(default_factory=dict)
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
    figures = {name: number for name, value in _part(service, "figures").items() if (number := _number(value))}
    if (worth := _number(quality.get("value_per_row"))) is not None:
        figures["value_per_row"] = worth
    figures |= _limited(signals)
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
        coverage=_number(quality.get("coverage")),
        predictions=_whole(service.get("predictions")) or _whole(data.get("rows")),
        drifted=tuple(map(str, drift.get("columns") or ())) if drift.get("status") == "measured" else None,
        columns={str(name): float(value) for name, value in _part(record, "columns").items() if _known(value)},
        failures=tuple(_failures(signals)),
        unmeasured="" if measured else str(quality.get("reason") or "live quality was not measured"),
        figures=figures,
        runs={str(name): str(value) for name, value in _part(record, "runs").items()},
    )


def _limited(signals: Mapping[str, Any]) -> dict[str, float]:
    """Return the widest differences between groups, and the calibration error."""
    found: dict[str, float] = {}
    for area in ("fairness", "calibration"):
        for figure in _part(signals, area).get("figures") or ():
            name = str(figure.get("name")).partition("_of_")[0]
            name = "calibration_error" if area == "calibration" else name
            if (value := _number(figure.get("value"))) is not None:
                found[name] = max(found.get(name, 0.0), value)
    return found


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


def _whole(value: Any) -> int | None:
    return int(value) if _known(value) and not isinstance(value, bool) else None
