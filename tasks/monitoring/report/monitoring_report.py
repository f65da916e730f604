"""A watched window in words and tables, for people and programs. Pure."""

from datetime import datetime
from typing import Any

from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.signals import Area, QualitySignal, Signals

_HEADLINES = {
    "healthy": "all is well",
    "watch": "worth watching",
    "quarantine": "the data is broken",
    "retrain": "a retraining is called for",
    "roll_back": "back to the champion before",
    "escalate": "a person is needed",
}


def areas(signals: Signals) -> dict[str, Area]:
    """What was looked at, by name."""
    return {
        "data": signals.data,
        "drift": signals.drift,
        "quality": signals.quality,
        "estimate": signals.estimate,
        "previous champion": signals.previous,
        "labels": signals.labels,
        "code": signals.code,
        "operations": signals.operations,
        **{each.metric: each for each in signals.satisfaction},
    }


def broken(signals: Signals) -> list[str]:
    """What could not be looked at because something failed, and why."""
    return [f"{name}: {area.reason}" for name, area in areas(signals).items() if area.status == "failed"]


def before_first_champion(model: str, until: datetime, *, state: str) -> dict[str, Any]:
    """A window in which there was nothing to look at, in the form of `summary`."""
    reason = "there is no champion yet, and so nothing to watch; `everfit train` makes the first one"
    nothing = dict.fromkeys(("verdict", "rule", "signals", "champion", "turn_id", "turn_state", "held_back"))
    told = {"model": model, "until": until.isoformat(), "state": state, "reasons": [reason]}
    return told | nothing | {"decision_id": None, "failed": [], "mlflow_run_id": None, "outcomes": []}


def summary(
    signals: Signals,
    decision: TriageDecision,
    *,
    state: str,
    run_id: str,
    turn: Turn | None,
    call: RequestOutcome | None,
) -> dict[str, Any]:
    """A window as `everfit monitor --json` prints it."""
    return {
        "model": decision.model,
        "until": decision.window.until.isoformat(),
        "state": state,
        "verdict": decision.verdict,
        "rule": decision.rule,
        "reasons": list(decision.reasons),
        "signals": signals.model_dump(mode="json"),
        "champion": {
            "version": signals.reference.version,
            "reference": decision.reference,
            "released": signals.reference.released.isoformat(),
        },
        "turn_id": turn.id if turn else None,
        "turn_state": turn.state if turn else None,
        "held_back": call.reason if call is not None and call.turn_id is None else None,
        "decision_id": decision.id,
        "expected_gain": decision.expected_gain,
        "cost": decision.cost,
        "failed": broken(signals),
        "mlflow_run_id": run_id,
    }


def markdown(signals: Signals, decision: TriageDecision, run: str, *, drawn: bool) -> str:
    """A window in words, for the artifact in the Prefect UI.

    Args:
        signals: What was found.
        decision: What was made of it.
        run: The MLflow run, as Markdown.
        drawn: Whether Evidently's report is in it.
    """
    lines = [f"# {decision.model}: {_HEADLINES[decision.verdict]}", "", f"Rule `{decision.rule}`:", ""]
    lines += [f"- {reason}" for reason in decision.reasons]
    lines += ["", "| area | status | finding |", "| --- | --- | --- |"]
    lines += [
        f"| {name} | {area.status.replace('_', ' ')} | {_cell(told(name, signals))} |" for name, area in _shown(signals)
    ]
    if decision.expected_gain is not None or decision.cost is not None:
        worth = f"a turn would win back {_number(decision.expected_gain)} and costs {_number(decision.cost)}"
        lines += ["", f"Worth it? {worth}."]
    reference = signals.reference
    lines += [
        "",
        f"Window {decision.window}; decision `{decision.id[:12]}`.",
        f"Champion: version {reference.version}, trained until {reference.trained_until:%Y-%m-%d %H:%M}.",
        f"Evidently's report is `drift.html` among the artifacts of {run}." if drawn else f"The evidence is in {run}.",
    ]
    return "\n".join(lines)


def told(name: str, signals: Signals) -> str:
    """One area in a few words."""
    words = {
        "data": _data(signals),
        "drift": _drift(signals),
        "quality": _quality(signals),
        "previous champion": _previous(signals),
        "labels": f"{signals.labels.new_rows:,} rows to learn from",
        "operations": _operations(signals),
        **{each.metric: f"{each.value:.4g}, {each.reason}" for each in signals.satisfaction if each.value is not None},
    }
    area = areas(signals)[name]
    return words[name] or area.reason if area.measured and name in words else area.reason


def _data(signals: Signals) -> str:
    problems = [each.words for each in (*signals.data.bad, *signals.data.suspicious)]
    return "; ".join([f"{signals.data.rows:,} rows", *problems[:4]])


def _drift(signals: Signals) -> str:
    drift = signals.drift
    beside = "; ".join(drift.beside)
    if not drift.columns:
        return beside or drift.reason or "nothing has moved"
    share = "" if drift.share is None else f"{drift.share:.0%} of the features have moved: "
    return f"{share}{', '.join(drift.columns[:6])}" + (f"; {beside}" if beside else "")


def _quality(signals: Signals) -> str:
    quality = signals.quality
    if quality.value is None or quality.baseline is None:
        return ""
    worth = f" {value_words(quality)}." if quality.value_per_row is not None else ""
    band = "" if quality.standard_error is None else f" ± {1.96 * quality.standard_error:.2g}"
    before = f"{quality.baseline.value:.4f} ± {1.96 * quality.baseline.standard_error:.2g} on the hold-out"
    chance = "" if quality.chance is None else f", {quality.chance:.4g} by chance"
    return f"{quality.metric} {quality.value:.4f}{band}; {before}{chance}. {quality.reason}{worth}"


def value_words(quality: QualitySignal) -> str:
    """What a row was worth, with its interval."""
    low, high = quality.value_interval or (None, None)
    told = f"A row was worth {_number(quality.value_per_row)} {quality.value_unit}".rstrip()
    before = _number(quality.baseline_value_per_row)
    return f"{told} ({_number(low)} to {_number(high)} at 95 %); {before} on the hold-out"


def _operations(signals: Signals) -> str:
    operations = signals.operations
    told = {"p99_ms": "p99 {:.3g} ms", "error_rate": "{:.2%} errors", "spool_age_s": "spool {:.0f} s old"}
    told |= {"outlier_share": "{:.1%} outliers"}
    figures = [words.format(operations.figures[name]) for name, words in told.items() if name in operations.figures]
    return "; ".join([f"{operations.predictions:,} predictions", *figures, *operations.alarms])


def _previous(signals: Signals) -> str:
    previous = signals.previous
    if previous.gain is None:
        return ""
    better = "better" if previous.gain > 0 else "worse"
    return f"version {previous.version} is {abs(previous.gain):.4f} {better} on the same rows"


def drift_rows(result: DriftResult) -> list[dict[str, Any]]:
    """The columns as a table, those that have moved most first."""
    ordered = sorted(result.columns, key=lambda each: -(each.effect or 0.0))
    return [
        {
            "column": each.column,
            "drifted": "yes" if each.drifted else "no" if each.drifted is not None else each.status.replace("_", " "),
            "method": each.method,
            "effect": _number(each.effect),
            "threshold": each.threshold,
            "adjusted p": _number(each.adjusted_p),
            "missing before": f"{each.missing_reference:.1%}",
            "missing now": f"{each.missing_current:.1%}",
        }
        for each in ordered
    ]


def _shown(signals: Signals) -> list[tuple[str, Area]]:
    return [(name, area) for name, area in areas(signals).items() if area.status != "absent"]


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table, which a category's name must not end."""
    return text.replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
