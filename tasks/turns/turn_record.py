"""A turn's record: its evidence and decisions, and their form for people and programs."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from pydantic import AliasChoices, Field

from everfit.blocks.errors import DataError, LedgerError
from everfit.tasks.core.figures import figure_table
from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.core.records import ModelVersion, Record, Snapshot
from everfit.tasks.data.split import Split
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.validate import Validation
from everfit.tasks.gate import Check, Evidence, GateDecision
from everfit.tasks.gate.remedies import RemediesTried
from everfit.tasks.gate.waiting import Waiting
from everfit.tasks.ledger import Turn
from everfit.tasks.training.results import CandidateResult, Fitted, how_fitted

(
    PROMOTED,
    CHAMPION_KEPT,
    DATA_REJECTED,
    NOTHING_NEW,
    AWAITING_APPROVAL,
    DECLINED,
    SUPERSEDED,
    ON_TRIAL,
    RETURNED,
    STILL_WAITING,
    WAITS_NO_LONGER,
) = (
    "Promoted",
    "ChampionKept",
    "DataRejected",
    "NothingNew",
    "AwaitingApproval",
    "Declined",
    "Superseded",
    "OnTrial",
    "Returned",
    "StillWaiting",
    "WaitsNoLonger",
)
"""The names of a training flow's final states.

`AwaitingApproval` becomes `Promoted`, `OnTrial`, `Declined` or `Superseded`; `OnTrial` becomes `Promoted`, `Returned`
or `Superseded`. `StillWaiting` and `WaitsNoLonger` end a turn that trains nothing: it judged a challenger that waits
for evidence.
"""

JUDGED = frozenset({PROMOTED, CHAMPION_KEPT, AWAITING_APPROVAL, DECLINED, ON_TRIAL, RETURNED})
"""The states of a turn that judged a challenger for good: the same rows would give the same challenger again."""


class TurnRecord(Record):
    """The results of a turn's steps, in their order; None for a step that the turn did not reach."""

    own_flow: str = Field(default="", description="Name of the user's own flow that ran it; empty for everfit's.")
    own_modules: tuple[str, ...] = Field(
        default=(), description="Packages and files of the user's own flow and of the functions that it gave to steps."
    )
    started_by: str = Field(default="", description="Name of the person who started it by hand.")
    replace_broken_champion: bool = Field(
        default=False, description="Whether a person asked to replace a champion that can't be loaded, uncompared."
    )
    prefect_run: str = Field(default="", description="Id of the flow run of Prefect that ran it last.")
    processor_seconds: float | None = Field(
        default=None,
        description="Processor time of the process that ran it and of its children, all attempts together; work on "
        "other machines is not in it.",
    )
    batch: Batch | None = None
    validation: Validation | None = None
    snapshot: Snapshot | None = None
    split: Split | None = None
    candidates: tuple[CandidateResult, ...] = Field(
        default=(), validation_alias=AliasChoices("candidates", "trials"), description="The tuning results."
    )
    fitted: Fitted | None = Field(default=None, description="The challenger as it was judged.")
    refitted: Fitted | None = Field(
        default=None, description="The registered model; fitted again if the challenger passed."
    )
    remedies: RemediesTried | None = Field(
        default=None, description="The remedies that were tried before a full search."
    )
    evidence: Evidence | None = None
    decision: GateDecision | None = None
    version: ModelVersion | None = Field(default=None, description="The challenger in the registry.")
    waiting: Waiting | None = Field(default=None, description="The challenger, if it waits for more evidence.")

    @classmethod
    def readable(cls, kept: Mapping[str, Any]) -> Self:
        """Read the parts of an old record that can still be read, to show them; other parts are None.

        To decide by a record use `recall`: there a part that can't be read is an error, and not a part that isn't.

        Args:
            kept: Plain data, as the ledger has it.
        """
        parts: dict[str, Any] = {}
        for name, value in kept.items():
            with suppress(LedgerError):
                part = cls.recall({name: value})
                parts |= {field: getattr(part, field) for field in part.model_fields_set}
        return cls(**parts)

    def with_(self, **parts: object) -> Self:
        """Return the record with more parts."""
        return self.model_copy(update=parts)


def state_of(decision: GateDecision) -> str:
    """Return the name of the final state that a decision leads to.

    A feature that contains the label says nothing about the challenger, so the data is rejected.
    """
    if any(check.name == "leaks" and check.value for check in decision.failed):
        return DATA_REJECTED
    return {"promote": PROMOTED, "keep": CHAMPION_KEPT, "needs_approval": AWAITING_APPROVAL}[decision.verdict]


def flat_metrics(record: TurnRecord) -> dict[str, float]:
    """Return every number that a turn measured, by a name that MLflow accepts."""
    evidence = record.evidence
    if evidence is None:
        return {}
    groups = {"challenger": evidence.challenger, "champion": evidence.champion or {}, "dummy": evidence.dummy or {}}
    metrics = {f"{role}.{name}": value for role, group in groups.items() for name, value in group.items()}
    metrics["holdout.rows"] = float(evidence.holdout_rows)
    if evidence.comparison is not None:
        metrics |= {"gain": evidence.comparison.difference, "gain.lower": evidence.comparison.lower}
    metrics |= {f"check.{check.name}": _check_value(check) for check in evidence.own_checks}
    rungs = () if record.remedies is None else record.remedies.rungs
    metrics |= {f"remedy.{rung.name}": rung.value for rung in rungs}
    metrics |= {f"validation.{result.candidate}.{result.metric}": result.score for result in record.candidates}
    return {name: value for name, value in metrics.items() if value is not None}


def _check_value(check: Check) -> float:
    """Return a check's value, or 1 or 0 for passed or not."""
    return float(check.passed) if check.value is None else check.value


def check_until(until: datetime, now: datetime | None = None) -> datetime:
    """Refuse a moment in the future.

    Args:
        until: The end of the turn's window; without a zone it is UTC.
        now: The present; by default the clock's. This is a check of the input, not a decision.

    Returns:
        The moment as Python's own class: Prefect passes pendulum's, whose arithmetic loses the zone.

    Raises:
        DataError: `until` is in the future.
    """
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until.astimezone(UTC)
    until = datetime.combine(until.date(), until.time(), UTC)
    now = now or datetime.now(UTC)
    if until > now + timedelta(minutes=1):  # clocks differ a little between machines
        raise DataError(f"until {until.isoformat()!r} is in the future; give a moment that has passed")
    return until


def turn_json(turn: Turn) -> dict[str, Any]:
    """Return a turn as `everfit train --json` prints it."""
    record = TurnRecord.readable(turn.record)
    snapshot, evidence = record.snapshot, record.evidence
    return {
        "turn_id": turn.id,
        "model": turn.model,
        "until": turn.window.until.isoformat(),
        "state": turn.state,
        "verdict": turn.verdict,
        "reasons": list(turn.reasons),
        "trigger": f"{turn.trigger.kind}: {turn.trigger.reason}" if turn.trigger.reason else turn.trigger.kind,
        "candidates": [
            f"{result.candidate}, the only one" if result.alone else f"{result.candidate} {_number(result.score)}"
            for result in record.candidates
        ],
        "snapshot": None
        if snapshot is None
        else {"version": snapshot.version, "rows": snapshot.rows, "digest": snapshot.content_digest},
        "champion": None
        if evidence is None or evidence.champion_version is None
        else {"version": evidence.champion_version, "metrics": evidence.champion},
        "challenger": None
        if evidence is None
        else {"version": record.version.version if record.version else None, "metrics": evidence.challenger},
        "mlflow_run_id": record.version.run_id if record.version else None,
        "seconds": turn.seconds,
    }


def turn_page(turn: Turn, run: str = "") -> str:
    """Return a turn in words, for the artifact in the Prefect UI; `run` is its MLflow run as Markdown."""
    record = TurnRecord.readable(turn.record)
    lines = [f"# {turn.model}: {HEADLINES.get(turn.state, turn.state)}", ""]
    lines += [f"- {markdown_text(reason)}" for reason in turn.reasons]
    lines += ["", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in _facts(turn, record, run)]
    if record.evidence is not None:
        lines += ["", *_metrics_table(record.evidence)]
    if record.decision is not None:
        lines += ["", "| check | value | bound | |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {check.name} | {_number(check.value)} | {_number(check.bound)} | "
            f"{'passed' if check.passed else '**failed**'} |"
            for check in record.decision.checks
        ]
        lines += figure_table(record.decision.figures)
    if record.candidates:
        lines += ["", "| candidate | validation score | |", "| --- | --- | --- |"]
        lines += [
            f"| {result.candidate} | {'' if result.alone else _number(result.score)} | {markdown_text(result.remark)} |"
            for result in record.candidates
        ]
    return "\n".join(lines)


HEADLINES = {
    PROMOTED: "a new champion was released",
    CHAMPION_KEPT: "the champion was kept",
    DATA_REJECTED: "the data was rejected",
    NOTHING_NEW: "nothing new to learn from",
    AWAITING_APPROVAL: "waiting for approval",
    DECLINED: "the challenger was declined",
    SUPERSEDED: "the champion changed meanwhile",
    ON_TRIAL: "tried on live traffic",
    RETURNED: "the challenger was withdrawn from its trial",
    STILL_WAITING: "a challenger waits for more evidence",
    WAITS_NO_LONGER: "a challenger no longer waits for evidence",
}
"""The meaning of a final state, in a few words."""


def _facts(turn: Turn, record: TurnRecord, run: str) -> list[tuple[str, str]]:
    facts = [
        ("turn", f"`{turn.id}`"),
        ("trigger", markdown_text(f"{turn.trigger.kind}: {turn.trigger.reason or 'no reason given'}")),
    ]
    facts.append(("until", f"{turn.window.until:%Y-%m-%d %H:%M} UTC"))
    if record.batch is not None:
        batch = record.batch
        facts.append(
            ("rows read", f"{batch.read:,}: {batch.new:,} new, {batch.changed:,} changed, {batch.duplicates:,} known")
        )
    if record.validation is not None:
        facts.append(("bad rows in quarantine", f"{record.validation.bad_rows:,} of {record.validation.rows:,}"))
        facts += [("unusual", markdown_text(warning)) for warning in record.validation.warnings]
    if record.snapshot is not None:
        facts.append(
            (
                "snapshot",
                (
                    f"version {record.snapshot.version}, {record.snapshot.rows:,} rows, "
                    f"`{record.snapshot.content_digest[:12]}`"
                ),
            )
        )
    if record.split is not None:
        facts += [("trained on", str(record.split.training)), ("hold-out", str(record.split.holdout))]
    if record.fitted is not None and (how := how_fitted(record.fitted)):
        facts.append(("fitted", markdown_text(how)))
    if record.version is not None:
        run = run or f"MLflow run `{record.version.run_id}`"
        facts.append(("challenger", f"version {record.version.version}, {run}"))
    return facts


def _metrics_table(evidence: Evidence) -> list[str]:
    lines = ["| on the hold-out | challenger | champion | baseline |", "| --- | --- | --- | --- |"]
    for name, value in evidence.challenger.items():
        others = [(group or {}).get(name) for group in (evidence.champion, evidence.dummy)]
        lines.append(f"| {' | '.join([name, *(_number(number) for number in (value, *others))])} |")
    return lines


def _number(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
