"""The alert about a monitored window. Pure."""

from collections.abc import Sequence

from everfit.tasks.incidents.alert import Alert
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.signals import Signals

SUBJECT = "window"
"""All windows of a model are one subject, so that a problem which gets another verdict stays one incident."""
QUIET_LOOKS = 2
"""Looks in a row that must find nothing, so that a problem at its limit doesn't open and close each hour."""
_WINDOWS = 24


def window_alert(
    signals: Signals,
    decision: TriageDecision,
    earlier: Sequence[Signals] = (),
    *,
    page: str = "",
    picture: str = "",
) -> Alert | None:
    """Return the alert about a window; None if its verdict notifies nobody.

    Args:
        signals: The evidence of the window.
        decision: The decision of triage.
        earlier: The evidence of the windows before, for the chart.
        page: Address of the run with the evidence.
        picture: Address of the drift report, if one was drawn.
    """
    verdict = VERDICTS[decision.verdict]
    if verdict.severity is None:
        return None
    values = [_value(before) for before in earlier if before.window.until < decision.window.until]
    chart = tuple(value for value in (*values, _value(signals)) if value is not None)[-_WINDOWS:]
    return Alert(
        subject=SUBJECT,
        severity=verdict.severity,
        what=verdict.headline,
        signature=f"{decision.verdict} {decision.signature}",
        how_bad="; ".join(_figures(signals)),
        why=decision.reasons,
        chart=chart if len(chart) > 1 else (),
        chart_of=str(signals.quality.metric or "") if len(chart) > 1 else "",
        advice=_advice(verdict.advice, signals, decision),
        command=verdict.command.format(model=decision.model),
        page=page,
        picture=picture,
    )


def _advice(advice: str, signals: Signals, decision: TriageDecision) -> str:
    """Return the advice of a verdict, and what the diagnosis of a loss adds to it."""
    diagnosis = signals.diagnosis.diagnosis
    if diagnosis is None or decision.loss is None or not decision.loss.lost:
        return advice
    more = [f"{text[0].upper()}{text[1:]}." for text in (diagnosis.advice, *diagnosis.remedies) if text]
    return " ".join([advice, *more])


def _figures(signals: Signals) -> list[str]:
    """Return what was measured of quality and data, and the limits that are exceeded: how bad a window is."""
    shown = [f"{area.title}: {area.text}" for area in (signals.quality, signals.data) if area.measured]
    exceeded = [figure.summary for area in (signals.fairness, signals.calibration) for figure in area.broken]
    return [*shown, *exceeded]


def _value(signals: Signals) -> float | None:
    return signals.quality.value if signals.quality.measured else None
