"""A challenger is measured, and the gate decides whether it is released."""

from datetime import timedelta

import everfit.tasks.gate as gate_room
from everfit.blocks.errors import DataError
from everfit.tasks.core.paired_comparison import EarlierGains
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation import evaluate as evaluate_room
from everfit.tasks.evaluation import serving_check
from everfit.tasks.evaluation.class_changes import class_changes
from everfit.tasks.evaluation.conversion import Conversion
from everfit.tasks.evaluation.own_checks import with_own_checks
from everfit.tasks.gate import Evidence, GateDecision
from everfit.tasks.gate.earlier_gains import earlier_gains
from everfit.tasks.gate.earlier_releases import EarlierRelease
from everfit.tasks.monitoring.judged_releases import judged_releases
from everfit.tasks.monitoring.triage_history import newest_judgements, read_triages, triage_entries
from everfit.tasks.steps import incumbent as incumbent_room
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.training.results import Fitted

logger = step_logger("everfit.training")

_NEWEST = 60
"""The number of the gate's decisions that are read for what they tell about the next one."""


@step("compute")
def why_nothing_to_compare_on(turn: OpenTurn, data: TrainingData) -> str:
    """Return why a challenger could not be compared with the champion, before one is trained; "" if it could be.

    Args:
        turn: The turn.
        data: The training data.

    Raises:
        DataError: The champion has trained on rows after the hold-out.
    """
    champion = incumbent_room.incumbent_version(turn.context, turn.entry)
    if champion is None or incumbent_room.why_broken(turn):
        return ""
    return evaluate_room.why_nothing_to_compare_on(data, champion)


@step("compute")
def evaluate(turn: OpenTurn, data: TrainingData, challenger: Fitted) -> Evidence:
    """Measure challenger, champion and a dummy on the same hold-out rows.

    Args:
        turn: The turn, once its rows are validated.
        data: The training data.
        challenger: As `fit` returned it.

    Returns:
        All that was measured: metrics in their own units, paired differences, slices, calibration and more.

    Raises:
        DataError: The turn has no validation yet.

    Example:
        >>> evidence = everfit.tasks.evaluate(turn, data, challenger)
        >>> 0.5 < evidence.challenger["roc_auc"] <= 1
        True
    """
    target, validation = data.spec.columns.target, turn.record.validation
    if validation is None:
        raise DataError(f"turn {turn.id!r} has no validation yet, which is part of the evidence; call `validate` first")
    training, held_out = data.training_rows(data.split.training), data.rows(data.split.holdout, "compare on")
    for change in class_changes(training[target], held_out[target], data.spec.task):
        logger.warning("%s", change)
    if broken := incumbent_room.why_broken(turn):
        logger.warning("it is compared with no champion: %s", broken)
    incumbent = None if broken else incumbent_room.load_incumbent(turn.context, turn.entry)
    attempt = 1 if incumbent is None else incumbent_room.attempt(turn.context, turn.entry, incumbent.version)
    earlier = () if incumbent is None else _earlier_gains(turn, incumbent.version)
    evidence = evaluate_room.evaluate(data, challenger, incumbent, validation, attempt, earlier=earlier)
    if broken and (version := incumbent_room.incumbent_version(turn.context, turn.entry)) is not None:
        evidence = evidence.model_copy(update={"broken_champion": broken, "replaces": version.version})
    releases = () if incumbent is None else _earlier_releases(turn)
    evidence = evidence.model_copy(update={"remedies": turn.record.remedies, "earlier_releases": releases})
    evidence = with_own_checks(evidence, data.spec.gate.checks)
    turn.keep(evidence=evidence)
    return evidence


def _earlier_gains(turn: OpenTurn, champion: ModelVersion) -> tuple[EarlierGains, ...]:
    """Return what comparisons with earlier champions tell about how closely the gains over this one hang together."""
    context, until = turn.context, turn.entry.window.until
    newest = context.ledger.decisions.of(context.spec.name, kind="gate", limit=_NEWEST)
    kept = (decision.record.get("evidence") or {} for decision in newest if (decision.until or until) <= until)
    return earlier_gains(kept, champion.trained_until)


def _earlier_releases(turn: OpenTurn) -> tuple[EarlierRelease, ...]:
    """Return the earlier releases that live rows have judged by the end of the turn's window."""
    context, until = turn.context, turn.entry.window.until
    entries = triage_entries(context.ledger, context.spec.name, ())
    judged = newest_judgements(read_triages(entries, until + timedelta.resolution))
    return judged_releases(window.signals for window in judged)


@step("decision", log="gate")
def preview_gate(turn: OpenTurn, evidence: Evidence) -> GateDecision:
    """Decide by what is known before the challenger is registered and tried in the service.

    Args:
        turn: The turn.
        evidence: As `evaluate` returned it.

    Returns:
        The decision as if serving were in order. With `extend_holdout` the hold-out is too short to judge.

    Raises:
        LedgerError: The turn has ended.

    Example:
        >>> preview = everfit.tasks.preview_gate(turn, evidence)
        >>> preview.verdict
        'promote'
    """
    return gate_room.decide(evidence, turn.context.spec.gate.model_copy(update={"serving": None, "conversion": False}))


@step("compute", log="serving")
def check_serving(  # noqa: PLR0917 - in the order of the steps that made them
    turn: OpenTurn,
    data: TrainingData,
    version: ModelVersion,
    fitted: Fitted,
    evidence: Evidence,
    conversion: Conversion | None = None,
) -> Evidence:
    """Add to the evidence how the version answers in the prediction service's own code, where the gate asks for it.

    Args:
        turn: The turn.
        data: The training data.
        version: As `register` returned it.
        fitted: The registered model.
        evidence: As `evaluate` returned it.
        conversion: As `convert` returned it.

    Returns:
        The evidence with the version, its answers and its latency in milliseconds.

    Raises:
        LedgerError: The turn has ended.

    Example:
        >>> evidence = everfit.tasks.check_serving(turn, data, version, fitted, evidence)
        >>> evidence.challenger_version == version.version
        True
    """
    served = None
    if turn.context.spec.gate.serving is not None:
        champion = incumbent_room.incumbent_version(turn.context, turn.entry)
        served = serving_check.measure_serving(data, version, fitted, conversion, champion)
        latency = f"as in training, p99 {served.p99_ms or 0:.2g} ms"
        logger.info("%s", served.problem or "; ".join(filter(None, [latency, served.capacity])))
    converted = None if conversion is None else conversion.evidence
    update = {"challenger_version": version.version, "serving": served, "conversion": converted}
    return with_own_checks(evidence.model_copy(update=update), data.spec.gate.checks)


@step("decision", log="gate")
def apply_gate(turn: OpenTurn, evidence: Evidence) -> GateDecision:
    """Decide whether the challenger is released, and write the decision with its evidence into the ledger.

    A turn that was killed after it had decided keeps to that: latencies differ each time, and the champion may be
    another one by now.

    Args:
        turn: The turn.
        evidence: As `check_serving` returned it.

    Returns:
        The verdict (`promote`, `keep` or `needs_approval`), the checks and the reasons.

    Raises:
        LedgerError: An earlier decision of the turn can't be read.

    Example:
        >>> decision = everfit.tasks.apply_gate(turn, evidence)
        >>> decision.verdict
        'promote'
    """
    ledger, decision = turn.context.ledger, gate_room.decide(evidence, turn.context.spec.gate)
    entry = ledger.decisions.find(f"{turn.id}/gate") or ledger.decisions.record(
        f"{turn.id}/gate",
        model=turn.model,
        kind="gate",
        verdict=decision.verdict,
        until=turn.until,
        reasons=decision.reasons,
        record={"decision": decision.model_dump(mode="json"), "evidence": evidence.model_dump(mode="json")},
        turn_id=turn.id,
    )
    logger.info("%s", entry.reasons[0])
    decision = GateDecision.recall(entry.record["decision"])
    turn.keep(evidence=Evidence.recall(entry.record["evidence"]), decision=decision)
    return decision
