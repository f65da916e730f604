"""Candidates are tried, the best one fitted, converted and registered, as Prefect tasks."""

import logging
import time
from collections import deque
from collections.abc import Generator, Sequence
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation import conversion as converting
from everfit.tasks.evaluation.conversion import Conversion
from everfit.tasks.gate import GateDecision
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring import reference
from everfit.tasks.registry import tracking
from everfit.tasks.steps.task_runners import side_by_side
from everfit.tasks.training import train
from everfit.tasks.training.progress import Progress
from everfit.tasks.training.results import CandidateResult, Fitted
from everfit.tasks.training.search import Setting, TuningRequest, TuningTrial
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

logger = logging.getLogger("everfit.training")


@task(task_run_name="try-{asked.candidate}-{asked.number}", cache_policy=NO_CACHE)
def try_setting(data: TrainingData, asked: TuningRequest, seconds: float) -> TuningTrial:
    """Fit a setting on earlier training rows and score it on later ones, fold by fold."""
    return train.try_setting(data, asked, seconds)


@task(task_run_name="try-{candidate}", cache_policy=NO_CACHE)
def try_candidate(data: TrainingData, candidate: str, warm: Setting | None = None) -> CandidateResult:
    """Search a candidate's settings: each is tried by a task of its own, wherever the flow's task runner runs it."""
    told = Progress(data.spec.training.search, candidate).told
    trial = train.try_candidate(data, candidate, warm, attempt=partial(_submitted, data), told=told)
    outcome = trial.error or f"{trial.metric} {trial.score:.4f} on validation rows"
    logger.info("train     %s: %s (%.1f s)", candidate, outcome, trial.seconds)
    return trial


def _submitted(data: TrainingData, settings: Sequence[TuningRequest], deadline: float) -> Generator[TuningTrial]:
    """Try settings by tasks: all at once where they run side by side, and else each when the one before has ended."""
    under_way: deque[PrefectFuture[TuningTrial]] = deque()
    waiting = deque(settings)
    try:
        while waiting or under_way:
            while waiting and (side_by_side() or not under_way):
                under_way.append(try_setting.submit(data, waiting.popleft(), deadline - time.perf_counter()))
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.wait()


def try_candidates(data: TrainingData, names: tuple[tuple[str, Setting | None], ...]) -> tuple[CandidateResult, ...]:
    """Try all candidates, one after the other or, where settings are tried side by side, all at once."""
    with ThreadPoolTaskRunner[CandidateResult](max_workers=len(names) if side_by_side() else 1) as threads:
        asked = [{"data": data, "candidate": name, "warm": warm} for name, warm in names]
        return tuple(future.result() for future in [threads.submit(try_candidate, each) for each in asked])


def candidates(context: Context, turn: Turn) -> tuple[tuple[str, Setting | None], ...]:
    """The names of what is tried, each with the setting that did best in the last turn."""
    last: dict[str, Setting] = {}
    for earlier in context.ledger.turns.of(context.spec.name):
        if earlier.id != turn.id and earlier.state in {turn_record.PROMOTED, turn_record.CHAMPION_KEPT}:
            tried = TurnRecord.readable(earlier.record).trials  # no more than a hint
            last = {trial.candidate: trial.setting for trial in tried if trial.score is not None}
    return tuple((name, last.get(name)) for name in context.spec.training.candidates_for(context.spec.task))


@task
def fit_challenger(data: TrainingData, turn: Turn, trials: tuple[CandidateResult, ...]) -> Fitted:
    """Fit the candidate that did best on all training rows."""
    path = data.workspace.turn_file(turn.model, turn.id, "challenger.skops")
    return train.fit_best(data, trials, data.split.training, path)


@task
def refit(data: TrainingData, turn: Turn, challenger: Fitted, judged: GateDecision) -> Fitted:
    """Fit what is good enough again on all rows, hold-out included; the rest stays as it was judged."""
    if judged.verdict == "keep" or not data.spec.training.refit:
        return challenger
    path = data.workspace.turn_file(turn.model, turn.id, "refitted.skops")
    logger.info("refit     %s on all rows to %s", challenger.candidate, f"{data.split.whole.until:%Y-%m-%d %H:%M}")
    return train.fit_on(data, challenger.candidate, data.split.whole, path, challenger.setting)


@task
def convert(data: TrainingData, turn: Turn, fitted: Fitted, judged: GateDecision) -> Conversion | None:
    """Convert what is good enough to the format of its release, where that is another than it was fitted in."""
    wanted = judged.verdict != "keep" or data.spec.gate.conversion  # which asks for evidence of it
    if data.spec.release.format == "skops" or not wanted:
        return None
    made = converting.convert(data, fitted, data.workspace.turn_file(turn.model, turn.id, "converted.onnx"))
    logger.info("convert   %s", made.evidence.problem or f"the same as {made.evidence.format}")
    return made


@task
def register(
    context: Context,
    turn: Turn,
    data: TrainingData,
    challenger: Fitted,
    fitted: Fitted,
    *,
    conversion: Conversion | None,
) -> ModelVersion:
    """Register the challenger as it would be released, with what it was trained on as its reference."""
    spec, client = context.spec, context.mlflow
    run_id = tracking.turn_run(client, context.settings, spec.name, turn.id)
    reference.log_reference(client, run_id, reference.make_reference(data, challenger, fitted))
    described = f"Challenger of turn {turn.id}"
    made = tracking.register_model(
        client, run_id, data, fitted, turn_id=turn.id, description=described, conversion=conversion
    )
    logger.info("register  version %d, MLflow run %s", made.version, run_id)
    return made
