"""The alert about a monitored window. Pure."""

from collections.abc import Sequence

from everfit.tasks.incidents.alert import Alert
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.limit_signals import LimitedFigure
from everfit.tasks.triage.signals import Signals

SUBJECT = "window"
"""All windows of a model are one subject, so that a problem which gets another verdict stays one incident."""
QUIET_LOOKS = 2
"""Looks in a row that must find nothing, so that a problem at its limit doesn't open and close each hour."""
_WINDOWS = 24

_LIMIT = "a limit of fairness or calibration is exceeded"
_LIMIT_ADVICE = (
    "Find out why. If the limit stays exceeded, `when_broken` of monitoring.fairness or monitoring.calibration says "
    "what follows: it is watched, a person is needed, or the model is retrained."
)
_LIMIT_RETRAINS = (
    "This look starts a retraining; the model's page and history show how it ends. Find out why the limit is "
    "exceeded: where retraining doesn't help, a person is needed."
)
_LIMIT_COMMAND = "everfit history {model}"


def window_alert(
    signals: Signals,
    decision: TriageDecision,
    earlier: Sequence[Signals] = (),
    *,
    page: str = "",
    picture: str = "",
) -> Alert | None:
    """Return the alert about a window; None if its verdict notifies nobody and no limit is exceeded.

    People are notified of an exceeded limit of fairness or calibration from the first window on, also while the window
    is only watched or calls a retraining.

    Args:
        signals: The evidence of the window.
        decision: The decision of triage.
        earlier: The evidence of the windows before, for the chart.
        page: Address of the run with the evidence.
        picture: Address of the drift report, if one was drawn.
    """
    verdict, exceeded = VERDICTS[decision.verdict], _exceeded(signals)
    severity, what, signature, why = verdict.severity, verdict.headline, decision.signature, decision.reasons
    advice, command = verdict.advice, verdict.command
    if severity is None:
        if not exceeded:
            return None
        severity, what, command = "warning", _LIMIT, _LIMIT_COMMAND
        advice = _LIMIT_RETRAINS if decision.verdict == "retrain" else _LIMIT_ADVICE
        signature, why = f"limit {sorted(figure.name for figure in exceeded)}", _first(exceeded, decision.reasons)
    values = [_value(before) for before in earlier if before.window.until < decision.window.until]
    chart = tuple(value for value in (*values, _value(signals)) if value is not None)[-_WINDOWS:]
    return Alert(
        subject=SUBJECT,
        severity=severity,
        what=what,
        signature=signature if verdict.severity is None else f"{decision.verdict} {signature}",
        how_bad="; ".join(_figures(signals)),
        why=why,
        chart=chart if len(chart) > 1 else (),
        chart_of=str(signals.quality.metric or "") if len(chart) > 1 else "",
        advice=_advice(advice, signals, decision),
        command=command.format(model=decision.model),
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
    return [*shown, *(figure.summary for figure in _exceeded(signals))]


def _exceeded(signals: Signals) -> list[LimitedFigure]:
    return [figure for area in (signals.fairness, signals.calibration) for figure in area.broken]


def _first(exceeded: Sequence[LimitedFigure], reasons: Sequence[str]) -> tuple[str, ...]:
    """Return the exceeded limits as reasons, and then the other reasons of the window."""
    return tuple(dict.fromkeys([*(figure.summary for figure in exceeded), *reasons]))


def _value(signals: Signals) -> float | None:
    return signals.quality.value if signals.quality.measured else None
