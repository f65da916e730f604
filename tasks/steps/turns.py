"""How a turn is opened, logged and released."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from prefect import runtime
from prefect.context import FlowRunContext

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.event_names import RELEASE_PROMOTED
from everfit.tasks.core.events import emit
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation import model_card, report
from everfit.tasks.gate import Evidence, GateDecision
from everfit.tasks.gate.waiting import begin_to_wait
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.registry.code_version import code_version
from everfit.tasks.release import release as release_room
from everfit.tasks.release.approval import why_superseded
from everfit.tasks.release.traffic import trial_journal, trials
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.steps.release import reconcile
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.storage.former_names import forget_former_name
from everfit.tasks.turns import package, turn_record
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.training")

OTHER = "Other"
"""State of a turn that an own flow left without `turn.end`."""


@contextmanager
def open_turn(
    model: str | Context, *, reason: str = "", until: datetime | None = None, trigger: Trigger | None = None
) -> Iterator[OpenTurn]:
    """Open a turn of a model in a flow of your own, and hold the model's lease while the body runs.

    A release that a crash interrupted is repaired first. If the body raises, the turn stays open: another run with the
    same model, `until` and reason continues it. Triage counts it as `other`, not as a failed training.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, of a stored Model Spec block, or a `Context`.
        reason: Why the turn is run, for the readers of the history. Together with `until` it identifies the turn.
        until: The turn uses no data of later event time. By default it is the flow run's scheduled time, or now.
        trigger: Used instead of `reason` if no person started the turn.

    Yields:
        The turn. If it ended before, it is `settled`, and every step refuses it.

    Raises:
        BusyError: Another turn of the model is running.
        SpecError: There is no such model, or its spec is wrong.
        DataError: `until` is in the future.

    Example:
        >>> with everfit.tasks.open_turn("deliveries", reason="only counting", until=UNTIL) as turn:
        ...     batch = everfit.tasks.ingest(turn)
        ...     state = turn.end("Counted", f"{batch.new} new rows")
        >>> state.name
        'Counted'
    """
    context = model if isinstance(model, Context) else open_context(model)
    own_flow, run = runtime.flow_run.flow_name or "a script", FlowRunContext.get()
    with take_turn(context, moment(until), trigger or Trigger(reason=reason), own_flow=own_flow) as turn:
        if not turn.settled and run is not None and run.flow is not None:
            turn.keep_own_code(run.flow.fn)
        yield turn
        if not turn.settled:
            turn.end(OTHER, f"{own_flow} left the turn without turn.end(...)")


@contextmanager
def take_turn(context: Context, until: datetime, trigger: Trigger, *, own_flow: str = "") -> Iterator[OpenTurn]:
    """Open the turn of a trigger, and hold the model's lease while the body runs.

    Args:
        context: The model's.
        until: The end of the turn's window.
        trigger: Why it is run.
        own_flow: Name of the user's flow that runs it; empty for everfit's own.

    Yields:
        The turn; if it ended before, it is settled.

    Raises:
        BusyError: Another turn of the model is running.
    """
    with context.ledger.turns.take(
        context.spec.name,
        trigger,
        Window(until=until),
        spec_digest=context.spec.digest(),
        code_version=code_version(),
    ) as entry:
        turn = OpenTurn(context, entry)
        if not turn.settled:
            if own_flow:
                turn.keep(own_flow=own_flow)
            if runtime.flow_run.id:
                turn.keep(prefect_run=str(runtime.flow_run.id))
            if trigger.by:
                turn.keep(started_by=trigger.by)
            if trigger.replace_broken_champion:
                turn.keep(replace_broken_champion=True)
            forget_former_name(context.workspace, context.spec.name)
            reconcile(context)
        try:
            yield turn
        except Exception:
            turn.keep_processor_time()
            raise


@step("network")
def track(turn: OpenTurn, data: TrainingData) -> None:
    """Log the turn's results and decision to MLflow, and write the package that reproduces the turn.

    Args:
        turn: The turn, once the gate has decided.
        data: The training data with its last split.

    Raises:
        LedgerError: The turn has no decision yet.

    Example:
        >>> everfit.tasks.track(turn, data)
    """
    context, record = turn.context, turn.record
    spec, client = context.spec, context.mlflow
    decision, version, fitted = record.decision, record.version, record.refitted
    if decision is None or version is None or fitted is None:
        raise LedgerError(f"turn {turn.id!r} has no decision to log yet; call `register` and `apply_gate` first")
    tracking.log_turn(
        client,
        version.run_id,
        parameters={
            "candidate": fitted.candidate,
            **({} if fitted.remedied is None else {"remedy": fitted.remedied.remedy}),
            "span": fitted.setting.span,
            **{f"parameter.{name}": value for name, value in fitted.setting.parameters.items()},
            "until": turn.until.isoformat(),
            "trigger": turn.entry.trigger.kind,
            "rows": fitted.rows,
            "seed": spec.training.seed,
            "verdict": decision.verdict,
        },
        metrics=turn_record.flat_metrics(record),
        documents={
            "spec.json": spec.content(),
            "turn.json": record.model_dump(mode="json"),
            "decision.json": decision.model_dump(mode="json"),
            "validation.json": record.validation.model_dump(mode="json") if record.validation else {},
        },
        snapshot=data.snapshot,
    )
    if spec.training.search.on:
        tracking.log_tries(client, version.run_id, record.candidates)
    evidence = record.evidence
    assert record.fitted is not None  # noqa: S101 - the gate decided, so a challenger was fitted and measured
    assert evidence is not None  # noqa: S101
    made = report.make_report(data, record.fitted, evidence.holdout, evidence.calibration)
    card = model_card.model_card(made[0], decision, turn.id)
    tracking.log_report(client, version.run_id, *made, card)
    package.write_package(context, turn.entry, data, record, made[0])
    client.update_model_version(spec.name, str(version.version), description=card)


def _let_wait(turn: OpenTurn, decision: GateDecision, evidence: Evidence) -> tuple[str, ...]:
    """Record that a turn's challenger waits for evidence, if it does; return that in words.

    Args:
        turn: The turn.
        decision: The decision of the gate.
        evidence: The evidence of the gate.
    """
    if not decision.waits or turn.entry.trigger.kind == "waiting":
        return ()
    waiting = begin_to_wait(turn.id, evidence, decision.failed[0].reason)
    if waiting is None:
        return ()
    turn.keep(waiting=waiting)
    return (f"Version {waiting.version} waits: it is judged again as labels come, without another training",)


@step("decision", log="release")
def release_challenger(turn: OpenTurn) -> tuple[str, tuple[str, ...]]:
    """Make the challenger the champion if the gate passed it and the champion is still the same.

    If the spec requires an approval or a trial on live traffic first, the turn begins to wait for it instead.

    Args:
        turn: The turn, once the gate has decided.

    Returns:
        The final state of the turn (`Promoted`, `ChampionKept`, `AwaitingApproval`, `OnTrial`, `DataRejected` or
        `Superseded`) and the reasons for it, as `turn.end` takes them.

    Raises:
        LedgerError: The turn has no decision yet.
        ModelError: The version can't be loaded, or no service serves it.

    Example:
        >>> state, reasons = everfit.tasks.release_challenger(turn)
        >>> state
        'Promoted'
    """
    context, record = turn.context, turn.record
    spec, client, ledger = context.spec, context.mlflow, context.ledger
    decision, evidence, version = record.decision, record.evidence, record.version
    if decision is None or version is None or evidence is None:
        raise LedgerError(f"turn {turn.id!r} has no decision yet; call `register` and `apply_gate` first")
    if decision.verdict != "promote":
        state = turn_record.state_of(decision)
        if (
            state != turn_record.DATA_REJECTED and trial_journal.on_trial(context) is None
        ):  # whose place only what is better takes
            model_registry.set_alias(client, spec.name, model_registry.CHALLENGER, version.version)
        return state, decision.reasons + _let_wait(turn, decision, evidence)
    current = ledger.releases.current(spec.name)
    why = why_superseded(evidence.judged_against, None if current is None else current.version)
    if why and ledger.releases.of_turn(turn.id) is None:
        logger.warning("version %d is not released: %s", version.version, why)
        return turn_record.SUPERSEDED, (f"Superseded: {why}", *decision.reasons)
    is_served = evidence.replaces is None  # a champion that can't be loaded has no traffic to split
    tried = current is not None and is_served and trials.needs_trial(spec, current)
    if current is not None and tried and ledger.releases.of_turn(turn.id) is None:
        trial = trials.begin(context, turn.entry, version.version, current)
        logger.info("%s", trials.headline(trial.plan))
        return turn_record.ON_TRIAL, (trials.headline(trial.plan), *decision.reasons)
    entry = release_room.release(
        ledger,
        client,
        spec.name,
        version.version,
        expected_previous=None if current is None else current.seq,
        reason=decision.reasons[0],
        actor="gate",
        turn=turn.entry,
        policy=spec.release,
    )
    emit(RELEASE_PROMOTED, spec.name, release=entry)
    logger.info("version %d is the champion (release %d)", entry.version, entry.seq)
    return turn_record.state_of(decision), decision.reasons
