"""Candidates are tried, the best one is fitted, converted and registered."""

import time
from collections import deque
from collections.abc import Generator, Sequence
from functools import partial

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation import conversion as conversion_room
from everfit.tasks.evaluation.conversion import Conversion
from everfit.tasks.evaluation.sample_effect import sample_effect
from everfit.tasks.gate import GateDecision
from everfit.tasks.models.signatures import check_can_sign
from everfit.tasks.monitoring import reference
from everfit.tasks.monitoring.first_bounds import offer_bounds
from everfit.tasks.registry import artifact_records, registration, tracking
from everfit.tasks.registry.own_code import OWN_CODE_TAG, as_tag, own_code
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.task_runners import side_by_side, workers_for_tasks
from everfit.tasks.training import train
from everfit.tasks.training.prequential import fit_prequentially
from everfit.tasks.training.progress import Progress
from everfit.tasks.training.results import CandidateResult, Choice, Fitted
from everfit.tasks.training.search import Setting, TuningRequest, TuningTrial
from everfit.tasks.training.worker_fit import needs_workers
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.turn_record import TurnRecord

logger = step_logger("everfit.training")


@step("compute", log="search", run_name="try-{request.candidate}-{request.number}")
def try_setting(data: TrainingData, request: TuningRequest, seconds: float) -> TuningTrial:
    """Fit a setting on earlier training rows and score it on later ones, fold by fold.

    Args:
        data: The training data.
        request: The candidate and its setting.
        seconds: How long it may take; it is given up then.

    Returns:
        Its score on validation rows, or why it has none.
    """
    return train.try_setting(data, request, seconds)


@step("compute", log="train", run_name="try-{candidate}")
def try_candidate(data: TrainingData, candidate: str, warm: Setting | None = None) -> CandidateResult:
    """Search a candidate's settings; each is tried by a task of its own, wherever the flow's task runner runs it.

    Args:
        data: The training data.
        candidate: Its name, one of `training.candidates`.
        warm: The setting that is tried first.

    Returns:
        The best setting and its score on validation rows, in the unit of the spec's metric; or why there is none.
    """
    progress = Progress(data.spec.training.search, candidate).report
    trial = train.try_candidate(data, candidate, warm, attempt=partial(_try_settings, data), on_trial=progress)
    if trial.score is None:
        logger.info("%s: %s", candidate, trial.remark)
        return trial
    remark = f", {trial.remark}" if trial.remark else ""
    outcome = f"{trial.metric} {trial.score:.4f} on validation rows"
    logger.info("%s: %s%s (%.1f s)", candidate, outcome, remark, trial.seconds)
    return trial


def _try_settings(data: TrainingData, settings: Sequence[TuningRequest], deadline: float) -> Generator[TuningTrial]:
    """Try settings by tasks: all at once where they run side by side, and else one after the other."""
    if not side_by_side():
        for setting in settings:
            yield try_setting(data, setting, deadline - time.perf_counter())
        return
    under_way: deque[PrefectFuture[TuningTrial]] = deque(
        try_setting.submit(data, setting, deadline - time.perf_counter()) for setting in settings
    )
    try:
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.wait()


@step("compute", log="train")
def try_candidates(turn: OpenTurn, data: TrainingData) -> tuple[CandidateResult, ...]:
    """Try the spec's candidates on the validation rows, each beginning with the setting that did best in the last turn.

    Args:
        turn: The turn.
        data: As `training_data` returned it.

    Returns:
        A result per candidate, in the order of the spec.

    Raises:
        DataError: There are too few rows to validate on.
        KeyFileError: Versions must be signed, and this process can't sign one that would be loaded.

    Example:
        >>> results = everfit.tasks.try_candidates(turn, data)
        >>> [result.candidate for result in results]
        ['logistic_regression']
    """
    spec = turn.context.spec
    check_can_sign(Settings(), spec.release.signers, spec.name)  # before the hours that training may take
    names = _candidates(turn)
    if side_by_side():
        with (
            workers_for_tasks(turn.context.workspace.uri),
            ThreadPoolTaskRunner[CandidateResult](max_workers=len(names)) as threads,
        ):
            parameters = [{"data": data, "candidate": name, "warm": warm} for name, warm in names]
            results = tuple(
                future.result() for future in [threads.submit(try_candidate, candidate) for candidate in parameters]
            )
    else:
        results = tuple(try_candidate(data, name, warm) for name, warm in names)
    turn.keep(candidates=results)
    return results


def _candidates(turn: OpenTurn) -> tuple[tuple[str, Setting | None], ...]:
    """The names of what is tried, each with the setting that did best in the last turn."""
    last: dict[str, Setting] = {}
    spec = turn.context.spec
    for earlier in turn.context.ledger.turns.of(turn.model):
        if earlier.id != turn.id and earlier.state in {turn_record.PROMOTED, turn_record.CHAMPION_KEPT}:
            candidates = TurnRecord.readable(earlier.record).candidates  # no more than a hint
            last = {result.candidate: result.setting for result in candidates if result.score is not None} or last
    return tuple((name, last.get(name)) for name in spec.training.candidates_for(spec.task))


@step("compute", log="train")
def fit(turn: OpenTurn, data: TrainingData, results: tuple[CandidateResult, ...]) -> Fitted:
    """Fit the challenger on all training rows, and again at later times of the hold-out.

    This is how it would have been used. Where the hold-out is cut, candidates and training spans compete on its
    earlier parts.

    Args:
        turn: The turn.
        data: As it was tried on.
        results: As `try_candidates` returned them.

    Returns:
        The newest of the challenger's models, with the earlier ones: candidate, setting, and where the file is.

    Raises:
        ModelError: No candidate could be trained.

    Example:
        >>> challenger = everfit.tasks.fit(turn, data, results)
        >>> challenger.candidate
        'logistic_regression'
    """
    path = data.workspace.turn_file(turn.model, turn.id, "challenger.skops")
    challenger = fit_prequentially(data, results, path, _former(turn))
    if effect := sample_effect(data, challenger, f"{path}.half"):
        logger.info("fitted on %s", effect)
        challenger = challenger.model_copy(update={"sampled": effect})
    turn.keep(fitted=challenger)
    return challenger


def _former(turn: OpenTurn) -> tuple[Choice, ...]:
    """Return what the released turns have fitted, the newest first: it may do well again when a season comes back."""
    fitted = [
        TurnRecord.readable(earlier.record).refitted
        for earlier in turn.context.ledger.turns.of(turn.model)
        if earlier.id != turn.id and earlier.state == turn_record.PROMOTED
    ]
    return tuple(Choice(candidate=one.candidate, setting=one.setting) for one in reversed(fitted) if one is not None)


@step("compute")
def refit(turn: OpenTurn, data: TrainingData, challenger: Fitted, preview: GateDecision) -> Fitted:
    """Fit what is good enough again on all rows, hold-out included, if the spec's `training.refit` is on.

    Args:
        turn: The turn.
        data: As the challenger was fitted on.
        challenger: As it was evaluated.
        preview: As `preview_gate` returned it; what the gate would keep out stays as it is, unless it waits for
            evidence.

    Returns:
        The model that is to be registered.

    Raises:
        ModelError: The candidate can't be fitted on all rows.

    Example:
        >>> fitted = everfit.tasks.refit(turn, data, challenger, preview)
        >>> fitted.rows >= challenger.rows
        True
    """
    fitted = challenger
    if _goes_on(preview) and data.spec.training.refit:
        path = data.workspace.turn_file(turn.model, turn.id, "refitted.skops")
        choice = challenger.choice
        window = data.final_window
        which = "all rows" if data.thinning is None or needs_workers(choice.candidate) else "the sample of the rows"
        logger.info("%s, with %s to %s", choice, which, f"{window.until:%Y-%m-%d %H:%M}")
        fitted = train.fit_on(data, choice.candidate, window, path, choice.setting)
    turn.keep(refitted=fitted)
    return fitted


def _goes_on(preview: GateDecision) -> bool:
    """Return whether a challenger may be released, now or when there is more evidence."""
    return preview.verdict != "keep" or preview.waits


@step("compute")
def convert(turn: OpenTurn, data: TrainingData, fitted: Fitted, preview: GateDecision) -> Conversion | None:
    """Convert what is good enough to the format of its release, where that isn't the one it was fitted in.

    Args:
        turn: The turn.
        data: The training data.
        fitted: The model that is to be registered.
        preview: As `preview_gate` returned it.

    Returns:
        The converted model and how far it predicts the same, or None if nothing is to be converted.

    Raises:
        LedgerError: The turn has ended.

    Example:
        >>> everfit.tasks.convert(turn, data, fitted, preview) is None  # this spec releases skops
        True
    """
    wanted = _goes_on(preview) or data.spec.gate.conversion  # which asks for evidence of it
    if data.spec.release.format == "skops" or not wanted:
        return None
    converted = conversion_room.convert(data, fitted, data.workspace.turn_file(turn.model, turn.id, "converted.onnx"))
    logger.info("%s", converted.evidence.problem or f"the same as {converted.evidence.format}")
    return converted


@step("network")
def register(
    turn: OpenTurn, data: TrainingData, challenger: Fitted, fitted: Fitted, conversion: Conversion | None = None
) -> ModelVersion:
    """Register the challenger in MLflow as it would be released, with what it was trained on as its reference.

    Args:
        turn: The turn.
        data: The training data.
        challenger: As it was evaluated.
        fitted: The model that is to be registered: the challenger, or the result of `refit`.
        conversion: As `convert` returned it.

    Returns:
        The version in the registry, and its run.

    Raises:
        ModelError: The model has types that aren't trusted.

    Example:
        >>> version = everfit.tasks.register(turn, data, challenger, fitted)
        >>> version.model
        'deliveries'
    """
    context, client = turn.context, turn.context.mlflow
    run_id = tracking.turn_run(client, context.settings, turn.model, turn.id)
    registered = registration.registered_by(client, turn.model, run_id)
    if registered is None or context.ledger.artifacts.find(registered) is None:  # recorded files stay as they are
        judged_on = None if turn.record.evidence is None else turn.record.evidence.holdout
        reference.log_reference(client, run_id, reference.make_reference(data, challenger, fitted, judged_on))
    described = f"Challenger of turn {turn.id}"
    version = registration.register_model(
        client, run_id, data, fitted, turn_id=turn.id, description=described, conversion=conversion
    )
    artifact_records.record_artifacts(
        client, context.ledger, context.workspace, version, actor="everfit", reason=f"registered by turn {turn.id}"
    )
    offer_bounds(context, version)
    if code := own_code(context.spec, turn.record.own_modules):
        client.set_tag(run_id, OWN_CODE_TAG, as_tag(code))
    logger.info("version %d, MLflow run %s", version.version, run_id)
    turn.keep(version=version)
    return version
