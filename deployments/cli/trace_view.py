"""The origin of a prediction on the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from everfit.deployments.cli.output import console
from everfit.tasks.predictions import prediction_log
from everfit.tasks.turns.turn_record import TurnRecord

if TYPE_CHECKING:
    from everfit.tasks.batch.trace import Trace

_UNKNOWN = "not recorded"
_SHORT = 12


def print_trace(trace: "Trace") -> None:
    """Print a prediction, its model version, and their origin."""
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(trace):
        facts.add_row(name, Text(value))
    console.print(facts, highlight=False)


def _facts(trace: "Trace") -> Iterator[tuple[str, str]]:
    row, version, release = trace.prediction, trace.version, trace.release
    yield "prediction", f"{row[prediction_log.PREDICTION]}{_score(row)}"
    yield "predicted", f"{row[prediction_log.PREDICTED_AT]} for {row.get(prediction_log.CLIENT) or _UNKNOWN}"
    outlier = row.get(prediction_log.OUTLIER)
    if outlier is not None:
        yield "outlier score", f"{outlier:.3f} of 1"
    joined = row.get(prediction_log.JOINED)
    if joined is not None:
        yield "joined rows", joined
    label = trace.label
    yield (
        "label",
        "not known yet" if label is None else f"{label['label']} ({label['origin']}, {label['label_time']})",
    )
    arm, run = row[prediction_log.ARM], version.run_id or "-"
    yield "model", f"{version.model} version {version.version}, arm {arm}, run {run}"
    yield "trained until", version.trained_until.isoformat()
    yield "snapshot", version.snapshot_digest[:_SHORT] or _UNKNOWN
    if release is None:
        yield "release", "never released"
    else:
        yield "release", f"{release.seq} ({release.kind}) by {release.actor or '-'} at {release.at.isoformat()}"
        yield "reason", release.reason
    if trace.turn is not None:
        turn = trace.turn.turn
        yield (
            "turn",
            f"{turn.id}: {turn.state}, triggered by {turn.trigger.kind} ({turn.trigger.reason or 'no reason'})",
        )
        validation = TurnRecord.readable(turn.record).validation
        if validation is not None:
            met = sum(outcome.passed for outcome in validation.outcomes)
            yield "data", f"{met} of {len(validation.outcomes)} expectations met, {validation.bad_rows:,} bad rows"
        for decision in trace.turn.decisions:
            yield decision.kind, f"{decision.verdict}: {'; '.join(decision.reasons)}"
    else:
        yield "turn", _UNKNOWN
    yield "code", trace.git_commit or _UNKNOWN
    yield "spec", trace.spec_digest[:_SHORT] or _UNKNOWN


def _score(row: dict[str, Any]) -> str:
    score = row.get(prediction_log.SCORE)
    return "" if score is None or score == row[prediction_log.PREDICTION] else f" (score {score:.4g})"
