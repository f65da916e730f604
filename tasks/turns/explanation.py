"""Explain: one turn's story from the ledger, as plain data for terminals and programs.

Records are read as they were written, by whatever version of everfit: what one of them lacks is shown as unknown.
"""

from typing import Any

from everfit.tasks.ledger import Decision, Release, TurnStory

Content = dict[str, Any]


def explain(story: TurnStory) -> Content:
    """All that is known of a turn.

    Args:
        story: From the ledger.

    Returns:
        Plain JSON: how it ended and why; then data, candidates, hold-out, decisions with their checks, and releases,
        each None or empty where the turn did not come to it.
    """
    turn, record = story.turn, story.turn.record
    gate = next((decision for decision in story.decisions if decision.kind == "gate"), None)
    evidence = record.get("evidence") or (gate.record.get("evidence") if gate else None)
    return {
        "turn_id": turn.id,
        "model": turn.model,
        "state": turn.state,
        "reasons": list(turn.reasons),
        "error": turn.error,
        "until": turn.window.until.isoformat(),
        "trigger": turn.trigger.model_dump(),
        "started_at": turn.started_at.isoformat(),
        "finished_at": turn.finished_at.isoformat() if turn.finished_at else None,
        "seconds": turn.seconds,
        "attempt": turn.attempt,
        "spec_digest": turn.spec_digest,
        "code_version": turn.code_version,
        "data": _data(record),
        "snapshot": record.get("snapshot"),
        "trained_on": _trained_on(record),
        "candidates": [_candidate(result) for result in record.get("candidates") or record.get("trials") or ()],
        "challenger": _challenger(record),
        "holdout": None if evidence is None else _holdout(evidence),
        "decisions": [_decision(decision) for decision in story.decisions],
        "releases": [_release(entry) for entry in story.releases],
        "champion_before": None if evidence is None else evidence.get("champion_version"),
        "mlflow_run_id": (record.get("version") or {}).get("run_id"),
    }


def _data(record: Content) -> Content | None:
    batch, validation = record.get("batch"), record.get("validation") or {}
    if batch is None:
        return None
    counts = {name: batch.get(name) for name in ("read", "new", "changed", "duplicates")}
    outcomes = validation.get("outcomes") or []
    return counts | {
        "passed": validation.get("passed"),
        "rows_checked": validation.get("rows"),
        "bad_rows": validation.get("bad_rows"),
        "expectations": len(outcomes),
        "expectations_not_met": [outcome for outcome in outcomes if not outcome.get("passed")],
        "notes": list(batch.get("notes") or ()),
    }


def _trained_on(record: Content) -> Content | None:
    judged, registered = record.get("fitted"), record.get("refitted")
    if judged is None:
        return None
    fits = {"judged": judged, "registered": registered or judged}
    return {
        name: {"window": fit.get("trained_on"), "rows": fit.get("rows"), "candidate": fit.get("candidate")}
        for name, fit in fits.items()
    }


def _candidate(result: Content) -> Content:
    kept = {name: result.get(name) for name in ("candidate", "metric", "score", "rows", "seconds", "setting", "error")}
    return {**kept, "alone": bool(result.get("alone"))}


def _challenger(record: Content) -> Content | None:
    version = record.get("version")
    if version is None:
        return None
    return {name: version.get(name) for name in ("version", "run_id", "trained_until", "snapshot_digest")}


def _holdout(evidence: Content) -> Content:
    """Return the measurements on the hold-out, and the other evidence of the gate."""
    measured = ("metric", "greater_is_better", "challenger", "champion", "dummy", "comparison", "dummy_comparison")
    checked = ("slices", "fairness", "calibration", "robustness", "business_value", "serving", "conversion")
    return {
        "window": evidence.get("holdout"),
        "rows": evidence.get("holdout_rows"),
        "extended": evidence.get("holdout_extended"),
        "digest": evidence.get("holdout_digest"),
        "overlap_rows": evidence.get("overlap_rows"),
        **{name: evidence.get(name) for name in (*measured, *checked, "suspected_leaks")},
    }


def _decision(decision: Decision) -> Content:
    made = decision.record.get("decision") or {}
    return {
        "id": decision.id,
        "kind": decision.kind,
        "verdict": decision.verdict,
        "at": decision.at.isoformat(),
        "by": decision.record.get("by") or "everfit",
        "reasons": list(decision.reasons),
        "risk": made.get("risk"),
        "checks": list(made.get("checks") or ()),
        "figures": list(made.get("figures") or ()),
    }


def _release(entry: Release) -> Content:
    names = ("seq", "version", "previous_version", "kind", "state", "actor", "reason", "note")
    return {name: getattr(entry, name) for name in names} | {"at": entry.at.isoformat()}
