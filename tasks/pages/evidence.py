"""The evidence of a look and of a turn as rows for a page. Records of any version of everfit are read."""

from collections.abc import Mapping
from typing import Any

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.figures import in_digits
from everfit.tasks.ledger import Decision, TurnStory
from everfit.tasks.monitoring.report.monitoring_report import evidence_rows
from everfit.tasks.pages.looks import look_of
from everfit.tasks.triage.signals import Signals
from everfit.tasks.turns.explanation import explain
from everfit.tasks.turns.turn_record import TurnRecord

Content = dict[str, Any]


def look_evidence(decision: Decision) -> Content:
    """Return a look for a page: verdict and reasons, and beneath them areas and figures as rows of text.

    Args:
        decision: A decision of triage.
    """
    look = look_of(decision)
    try:
        areas = evidence_rows(Signals.recall(decision.record.get("signals")))
    except LedgerError as error:
        areas = [{"area": "all", "status": "unreadable", "finding": str(error)}]
    made = decision.record.get("decision") or {}
    return {
        "kind": "look",
        "id": look.id,
        "until": look.until.isoformat(),
        "verdict": look.verdict,
        "rule": look.rule,
        "reasons": list(look.reasons),
        "champion": look.champion,
        "areas": [[row["area"], row["status"], row["finding"]] for row in areas],
        "figures": _figures(made.get("figures")),
        "runs": look.runs,
    }


def turn_evidence(story: TurnStory) -> Content:
    """Return a turn for a page: how it ended and why, and beneath it facts, metrics and checks as rows of text.

    Args:
        story: The turn with its decisions and releases.
    """
    turn_story = explain(story)
    runs = {"mlflow": turn_story["mlflow_run_id"], "prefect": TurnRecord.readable(story.turn.record).prefect_run}
    return {
        "kind": "turn",
        "id": turn_story["turn_id"],
        "until": turn_story["until"],
        "verdict": turn_story["state"],
        "reasons": turn_story["reasons"] or [turn_story["error"] or "it gave no reason"],
        "facts": _facts(turn_story, story.turn.record.get("processor_seconds")),
        "metrics": _metrics(turn_story["holdout"] or {}),
        "checks": [row for made in turn_story["decisions"] for row in _checks(made)],
        "figures": [row for made in turn_story["decisions"] for row in _figures(made["figures"])],
        "decided": [
            [made["kind"], made["verdict"], str(made["by"]), next(iter(made["reasons"]), "")]
            for made in turn_story["decisions"]
        ],
        "runs": {name: run for name, run in runs.items() if run},
    }


def _facts(turn_story: Content, used: Any) -> list[list[str]]:
    trigger, data, snapshot, challenger = (
        turn_story["trigger"],
        turn_story["data"],
        turn_story["snapshot"],
        turn_story["challenger"],
    )
    rows = [["trigger", f"{trigger['kind']}: {trigger['reason'] or 'no reason given'}"]]
    if trigger.get("by"):
        rows.append(["started by", str(trigger["by"])])
    if data is not None:
        rows.append(["rows read", f"{_count(data['read'])}, {_count(data['new'])} of them new"])
        rows.append(["bad rows", _count(data["bad_rows"])])
    if snapshot:
        rows.append(["snapshot", f"version {snapshot.get('version')}, {_count(snapshot.get('rows'))} rows"])
        rows.append(["digest of the data", str(snapshot.get("content_digest") or "unknown")])
    if challenger:
        rows.append(["challenger", f"version {challenger['version']}"])
    rows += [
        ["candidate", f"{one['candidate']}: {'the only one' if one['alone'] else _number(one['score'])}"]
        for one in turn_story["candidates"]
    ]
    if turn_story["seconds"] is not None:
        processor = f", {used:,.1f} s of processor time" if isinstance(used, int | float) else ""
        rows.append(["time", f"{turn_story['seconds']:,.1f} s{processor}"])
    return rows


def _metrics(holdout: Content) -> list[list[str]]:
    groups = [holdout.get(name) or {} for name in ("challenger", "champion", "dummy")]
    return [[str(name), *(_number(group.get(name)) for group in groups)] for name in groups[0]]


def _checks(made: Content) -> list[list[str]]:
    return [
        [
            str(check.get("name") or "unknown"),
            _number(check.get("value")),
            _number(check.get("bound")),
            "passed" if check.get("passed") else "failed",
            str(check.get("reason") or ""),
        ]
        for check in made["checks"]
        if isinstance(check, Mapping)
    ]


def _figures(figures: Any) -> list[list[str]]:
    rows = [row for row in figures or () if isinstance(row, Mapping)]
    return [[str(row.get(name) or "") for name in ("name", "value", "origin")] for row in rows]


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return in_digits(float(value))


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "unknown"
