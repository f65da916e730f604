"""What is found out about a challenger, and whether it is released, as Prefect tasks."""

import logging

from prefect import task

from everfit.tasks import gate as gating
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation import evaluate as evaluating
from everfit.tasks.evaluation import serving_check
from everfit.tasks.evaluation.class_changes import class_changes
from everfit.tasks.evaluation.conversion import Conversion
from everfit.tasks.evaluation.evaluate import Incumbent
from everfit.tasks.evaluation.own_checks import with_own_checks
from everfit.tasks.gate import Evidence, GateDecision
from everfit.tasks.ledger import Release, Turn
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.training.results import Fitted
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.training")


@task
def evaluate(context: Context, turn: Turn, data: TrainingData, challenger: Fitted, validation: Validation) -> Evidence:
    """Measure challenger, champion and a dummy on the same hold-out rows."""
    target = context.spec.columns.target
    training, held_out = data.training_rows(data.split.training), data.rows(data.split.holdout, "compare on")
    for told in class_changes(training[target], held_out[target], context.spec.task):
        logger.warning("classes   %s", told)
    evidence = evaluating.evaluate(data, challenger, _incumbent(context, turn), validation)
    return with_own_checks(evidence, context.spec.gate.checks)


def _incumbent(context: Context, turn: Turn) -> Incumbent | None:
    """The champion as it was before this turn, which may have released its own already and been killed."""
    entry = _release_before(context, turn)
    if entry is None:
        return None
    version = model_registry.model_version(context.mlflow, context.spec.name, entry.version)
    threshold = tracking.threshold(context.mlflow, version)
    return Incumbent(version, model_registry.load(context.mlflow, version), threshold)


def _release_before(context: Context, turn: Turn) -> Release | None:
    own = context.ledger.releases.of_turn(turn.id)
    if own is None:
        return context.ledger.releases.current(context.spec.name)
    earlier = [entry for entry in context.ledger.releases.of(context.spec.name) if entry.seq < own.seq]
    # One whose alias was set was the champion, whether or not a service was ever seen to serve it.
    return next((entry for entry in reversed(earlier) if entry.state != "undone"), None)


def judge(context: Context, evidence: Evidence) -> GateDecision:
    """Decide as far as is known before the challenger is registered, and tried as it would be served."""
    return gating.decide(evidence, context.spec.gate.model_copy(update={"serving": None, "conversion": False}))


@task
def try_serving(
    context: Context,
    data: TrainingData,
    version: ModelVersion,
    fitted: Fitted,
    evidence: Evidence,
    *,
    conversion: Conversion | None,
) -> Evidence:
    """Add what the prediction service's own code makes of the version, where the gate asks for it."""
    found = None
    if context.spec.gate.serving is not None:
        found = serving_check.check_serving(data, version, fitted, conversion)
        logger.info("serving   %s", found.problem or f"as in training, p99 {found.p99_ms:.1f} ms")
    converted = None if conversion is None else conversion.evidence
    complete = evidence.model_copy(
        update={"challenger_version": version.version, "serving": found, "conversion": converted}
    )
    return with_own_checks(complete, context.spec.gate.checks)


@task
def gate(context: Context, turn: Turn, evidence: Evidence) -> tuple[Evidence, GateDecision]:
    """Decide, and write the decision into the ledger.

    A turn that was killed after it had decided keeps to that, though a latency comes out otherwise each time, and the
    champion may be another one by now.

    Returns:
        What was decided, and on what.
    """
    decision = gating.decide(evidence, context.spec.gate)
    made = context.ledger.decisions.find(f"{turn.id}/gate") or context.ledger.decisions.record(
        f"{turn.id}/gate",
        model=context.spec.name,
        kind="gate",
        verdict=decision.verdict,
        until=turn.window.until,
        reasons=decision.reasons,
        record={"decision": decision.model_dump(mode="json"), "evidence": evidence.model_dump(mode="json")},
        turn_id=turn.id,
    )
    logger.info("gate      %s", made.reasons[0])
    return Evidence.recall(made.record["evidence"]), GateDecision.recall(made.record["decision"])
