"""A challenger that waits for evidence is judged again by more rows, and released without another training."""

from typing import Any

from prefect.client.schemas.objects import State

from everfit.blocks.errors import DataError
from everfit.tasks.data import cut
from everfit.tasks.data.split import TrainingData
from everfit.tasks.gate import waiting as rules
from everfit.tasks.registry import tracking
from everfit.tasks.steps import gate, ingestion, learning, turns
from everfit.tasks.steps.incumbent import incumbent_version
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.waiting import Resumed, find_waiting, resume

logger = step_logger("everfit.training")


def judge_waiting(turn: OpenTurn) -> State[dict[str, Any]]:
    """Judge the challenger that waits for evidence by the rows since, release it if it passes, and end the turn.

    Args:
        turn: The turn, once its rows are committed.
    """
    resumed = resume_waiting(turn)
    if isinstance(resumed, str):
        return turn.end(turn_record.WAITS_NO_LONGER, resumed)
    data = continue_holdout(turn, resumed)
    evidence = gate.evaluate(turn, data, resumed.challenger)
    conversion = learning.convert(turn, data, resumed.registered, gate.preview_gate(turn, evidence))
    evidence = gate.check_serving(turn, data, resumed.version, resumed.registered, evidence, conversion)
    gate.apply_gate(turn, evidence)
    track_judgement(turn, data)
    return turn.end(*_outcome(turn, resumed, *turns.release_challenger(turn)))


@step("decision", log="waiting")
def resume_waiting(turn: OpenTurn) -> Resumed | str:
    """Return the challenger that this turn is to judge, or the reason why none waits any more.

    Args:
        turn: The turn, whose trigger says that a challenger waits.

    Returns:
        The challenger with its models and its hold-out.
    """
    context = turn.context
    champion = incumbent_version(context, turn.entry)
    others = [one for one in context.ledger.turns.of(turn.model) if one.id != turn.id]
    waiting = find_waiting(others, None if champion is None else champion.version)
    if waiting is None:
        return "no challenger waits for evidence any more"
    resumed = resume(waiting, context.ledger.turns.get(waiting.turn_id))
    if resumed is None or not all(context.workspace.exists(model.path) for model in resumed.challenger.chain):
        return f"Version {waiting.version} stopped waiting: files of turn {waiting.turn_id} are gone"
    if resumed.spec_digest != turn.entry.spec_digest:
        return f"Version {waiting.version} stopped waiting: the spec has changed since it was trained"
    logger.info("version %d, trained by turn %s", waiting.version, waiting.turn_id)
    turn.keep(version=resumed.version, fitted=resumed.challenger, refitted=resumed.registered)
    return resumed


@step("compute", log="split")
def continue_holdout(turn: OpenTurn, resumed: Resumed) -> TrainingData:
    """Open the rows of the challenger's turn with a hold-out that goes on to the newest mature labels.

    Args:
        turn: The turn, once its rows are committed.
        resumed: As `resume_waiting` returned it.

    Raises:
        DataError: The dataset has no row in the window.
    """
    context = turn.context
    table = context.workspace.table(context.spec.name, "dataset")
    split = cut.continued(context.spec, table, resumed.split, turn.until)
    turn.keep(split=split)
    snapshot = ingestion.take_snapshot(turn, split)
    logger.info("hold-out %s", split.holdout)
    return TrainingData(context.spec, snapshot, split, turn.until, context.workspace)


@step("network")
def track_judgement(turn: OpenTurn, data: TrainingData) -> None:
    """Log the judgement to a run of its own in MLflow; the run of the challenger stays as it is.

    Args:
        turn: The turn, once the gate has decided.
        data: The rows that it judged by.

    Raises:
        DataError: The turn has no decision yet.
    """
    record, context = turn.record, turn.context
    if record.decision is None or record.version is None:
        raise DataError(f"turn {turn.id!r} has no decision to log yet; call `apply_gate` first")
    tracking.log_turn(
        context.mlflow,
        tracking.turn_run(context.mlflow, context.settings, turn.model, turn.id),
        parameters={
            "version": record.version.version,
            "until": turn.until.isoformat(),
            "trigger": turn.entry.trigger.kind,
            "verdict": record.decision.verdict,
        },
        metrics=turn_record.flat_metrics(record),
        documents={
            "turn.json": record.model_dump(mode="json"),
            "decision.json": record.decision.model_dump(mode="json"),
        },
        snapshot=data.snapshot,
    )


def _outcome(turn: OpenTurn, resumed: Resumed, state: str, reasons: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return how a judgement ends: as a release does, or the challenger waits on, or no longer.

    Args:
        turn: The turn.
        resumed: The challenger.
        state: As `release_challenger` returned it.
        reasons: The same.
    """
    waiting, record = resumed.waiting, turn.record
    if state != turn_record.CHAMPION_KEPT or record.decision is None or record.evidence is None:
        return state, (*reasons, f"It waited for evidence since turn {waiting.turn_id}, and was not trained again")
    decision = record.decision
    then = rules.wait_on(waiting, record.evidence, decision.failed[0].reason, waits=decision.waits)
    if isinstance(then, str):
        return turn_record.WAITS_NO_LONGER, (then, *reasons)
    turn.keep(waiting=then)
    return turn_record.STILL_WAITING, (*reasons, f"Version {then.version} waits on")
