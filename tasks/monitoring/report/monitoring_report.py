"""A monitored window as text, table and JSON, for people and programs. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from everfit.tasks.core.figures import figure_table
from everfit.tasks.core.loss_diagnosis import PART_TEXTS
from everfit.tasks.core.outside_text import markdown_text, page_text
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.monitoring.worth import MonthWorth, worth_heads, worth_rows, worth_summary
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.signals import Signals

NO_CHAMPION = "there is no champion to monitor yet; `everfit train` makes the first one"


def json_without_look(model: str, until: datetime, *, state: str, reason: str = NO_CHAMPION) -> dict[str, Any]:
    """Return a window that was not looked at, in the form of `window_json`.

    Args:
        model: The model's name.
        until: The window's end.
        state: The flow's final state.
        reason: Why there is nothing to look at.
    """
    facts = {"model": model, "until": until.isoformat(), "state": state, "reasons": [reason]}
    unknown = dict.fromkeys(("verdict", "rule", "signals", "champion", "turn_id", "turn_state", "held_back"))
    return facts | unknown | {"evidence": [], "decision_id": None, "failed": [], "mlflow_run_id": None, "outcomes": []}


def worth_text(months: Sequence[MonthWorth]) -> str:
    """Return what the loop has been worth by month, as Markdown.

    Args:
        months: The months of one model, oldest first.
    """
    heads = worth_heads(months)
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *worth_rows(months[-12:])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"\n\n## Worth of the loop\n\n{markdown_text(worth_summary(months))}\n\n{table}\n\n"


def window_json(
    signals: Signals,
    decision: TriageDecision,
    *,
    state: str,
    run_id: str,
    turn: Turn | None,
    call: RequestOutcome | None,
) -> dict[str, Any]:
    """Return a window as `everfit monitor --json` prints it.

    Args:
        signals: The evidence of the window.
        decision: The decision of triage.
        state: The flow's final state.
        run_id: The MLflow run with the evidence.
        turn: The turn that was called.
        call: The answer to the request for a turn.
    """
    return {
        "model": decision.model,
        "until": decision.window.until.isoformat(),
        "state": state,
        "verdict": decision.verdict,
        "rule": decision.rule,
        "reasons": list(decision.reasons),
        "signals": signals.model_dump(mode="json"),
        "evidence": evidence_rows(signals),
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
        "figures": [figure.model_dump(mode="json") for figure in decision.figures],
        "next_try": decision.next_try,
        "waiting": decision.waiting,
        "failed": signals.failures(),
        "mlflow_run_id": run_id,
    }


def evidence_rows(signals: Signals) -> list[dict[str, str]]:
    """Return every evidence area that applies to the window: name, status and what was measured."""
    return [
        {"area": area.title, "status": area.status.replace("_", " "), "finding": area.text}
        for area in signals.areas()
        if area.status != "absent"
    ]


def window_page(signals: Signals, decision: TriageDecision, run: str, *, has_report: bool) -> str:
    """Return a window as Markdown, for the artifact in the Prefect UI.

    Args:
        signals: The evidence of the window.
        decision: The decision of triage.
        run: The MLflow run, as Markdown.
        has_report: Whether the run has Evidently's report.
    """
    lines = [f"# {decision.model}: {VERDICTS[decision.verdict].headline}", "", f"Rule `{decision.rule}`:", ""]
    lines += [f"- {markdown_text(reason)}" for reason in decision.reasons]
    lines += ["", "| area | status | finding |", "| --- | --- | --- |"]
    lines += [
        f"| {markdown_text(row['area'])} | {row['status']} | {markdown_text(row['finding'])} |"
        for row in evidence_rows(signals)
    ]
    lines += _diagnosis_lines(signals)
    lines += figure_table(decision.figures)
    lines += ["", f"Tries of a turn: {decision.next_try}."] if decision.next_try else []
    lines += ["", f"A challenger waits: {decision.waiting}."] if decision.waiting else []
    reference = signals.reference
    report = f"Evidently's report is `drift.html` among the artifacts of {run}."
    lines += [
        "",
        f"Window {decision.window}; decision `{decision.id[:12]}`.",
        f"Champion: version {reference.version}, trained until {reference.trained_until:%Y-%m-%d %H:%M}.",
        report if has_report else f"The evidence is in {run}.",
    ]
    return "\n".join(lines)


def _diagnosis_lines(signals: Signals) -> list[str]:
    diagnosis = signals.diagnosis.diagnosis
    if diagnosis is None:
        return []
    lines = ["", "## Why", "", f"{markdown_text(diagnosis.summary)}.", ""]
    lines += ["| part of the loss | change | 95 % interval |", "| --- | --- | --- |"]
    lines += [
        f"| {PART_TEXTS[part.name]} | {part.change:.3g} | {part.low:.3g} to {part.high:.3g} |"
        for part in diagnosis.split.parts
    ]
    found = [*(slice_.summary for slice_ in diagnosis.slices), *diagnosis.values, *diagnosis.remedies]
    lines += ["", *(f"- {markdown_text(text)}" for text in found)] if found else []
    return lines


def drift_rows(result: DriftResult) -> list[dict[str, Any]]:
    """Return the columns as a table, the largest drift first."""
    ordered = sorted(result.columns, key=lambda column: -(column.effect or 0.0))
    return [
        {
            "column": page_text(column.column),
            "drifted": _drifted(column.drifted, column.status),
            "method": column.method,
            "effect": _number(column.effect),
            "threshold": column.threshold,
            "adjusted p": _number(column.adjusted_p),
            "missing before": f"{column.missing_reference:.1%}",
            "missing now": f"{column.missing_current:.1%}",
        }
        for column in ordered
    ]


def column_distances(result: DriftResult) -> dict[str, float]:
    """Return the drift of each compared column as a multiple of its threshold, to three digits."""
    return {
        column.column: float(f"{column.effect / column.threshold:.3g}")
        for column in result.columns
        if column.effect is not None and column.threshold > 0
    }


def _drifted(drifted: bool | None, status: str) -> str:
    if drifted is None:
        return status.replace("_", " ")
    return "yes" if drifted else "no"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
