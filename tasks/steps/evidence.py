"""The evidence of a window, as Prefect tasks: each area is worked out by itself, and says what it could not tell."""

import logging
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfit.blocks.retraining import UserMetricPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.data.suite import suite_of
from everfit.tasks.monitoring import monitoring
from everfit.tasks.monitoring.monitored_model import Watched
from everfit.tasks.monitoring.monitoring import attempt
from everfit.tasks.monitoring.signals import expectations, service_health
from everfit.tasks.monitoring.signals.code_change import read_code
from everfit.tasks.monitoring.signals.drift import DriftResult, drift
from everfit.tasks.monitoring.signals.live_estimate import came_true, can_estimate, estimate_signal, fit_estimator
from everfit.tasks.monitoring.signals.live_quality import previous_signal, quality_signal
from everfit.tasks.monitoring.signals.user_metrics import satisfaction_signal
from everfit.tasks.monitoring.window import Live
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.triage.signals import (
    CodeSignal,
    DataSignal,
    DriftSignal,
    EstimateSignal,
    LabelsSignal,
    OperationsSignal,
    PreviousSignal,
    QualitySignal,
    SatisfactionSignal,
    Signals,
)

logger = logging.getLogger("everfit.monitoring")


@task(cache_policy=NO_CACHE)
def check_data(watched: Watched, live: Live) -> DataSignal:
    """Is the data to be relied upon?"""
    spec, profile = watched.context.spec, watched.reference.profile
    labelled = attempt_answers(watched)

    def checked() -> DataSignal:
        expected = monitoring.expected_rows(profile, watched.windows.window, watched.standing.released)
        suite = suite_of(spec, watched.context.workspace) or ()
        unmet = expectations.unmet(suite, live.sample, watched.features, spec.expectations.max_bad_share)
        return monitoring.data_signal(live, labelled, profile, spec.monitoring, expected=expected, unmet=unmet)

    found = attempt(checked, DataSignal)
    logger.info("data      %s predictions; %s", f"{live.rows:,}", _words([each.words for each in found.bad]) or "good")
    return found


@task(cache_policy=NO_CACHE)
def compare_columns(watched: Watched, live: Live) -> tuple[DriftSignal, DriftResult | None]:
    """Have inputs or predictions moved, column by column?"""
    kept: list[DriftResult] = []

    def compared() -> DriftSignal:
        policy = watched.context.spec.monitoring
        kept.append(drift(watched.reference.profile, live.counts, policy, window=live.window))
        return monitoring.drift_signal(kept[0], policy=policy)

    found = attempt(compared, DriftSignal)
    return found, kept[0] if kept else None


@task(cache_policy=NO_CACHE)
def measure_drift(watched: Watched, live: Live, found: DriftSignal, result: DriftResult | None) -> DriftSignal:
    """Beside the columns: what the champion rests its answers on, and all columns together."""
    if result is not None and result.drifted is not None:
        found = attempt(lambda: _whole_drift(watched, live, result), DriftSignal)
    logger.info("drift     %s", found.reason.partition(";")[0])
    return found


@task(cache_policy=NO_CACHE)
def measure_quality(watched: Watched) -> QualitySignal:
    """How good were the answers whose labels are mature?"""

    def measured() -> QualitySignal:
        usual = monitoring.usual_coverage(watched.judged, _coverage_at_first(watched), watched.windows.labelled)
        return quality_signal(
            watched.mature,
            watched.baseline,
            watched.context.spec,
            usual=usual,
            holdout=watched.holdout,
            threshold=watched.threshold,
        )

    found = attempt(measured, QualitySignal)
    told = "not measured" if found.value is None else f"{found.metric} {found.value:.4f} on {found.rows:,} rows"
    logger.info("quality   %s; %s", told, found.reason)
    return found


@task(cache_policy=NO_CACHE)
def estimate_quality(watched: Watched) -> tuple[EstimateSignal, PastEstimate | None]:
    """How good are the others likely to be, and how far have such estimates come true?"""
    kept: list[PastEstimate | None] = []

    def estimated() -> EstimateSignal:
        spec = watched.context.spec
        if not can_estimate(spec.metric):
            return EstimateSignal(reason=f"{spec.metric} can't be estimated without labels")
        estimator = fit_estimator(watched.holdout, spec, watched.features)
        past = monitoring.past_estimates(watched.judged, watched.standing.version)
        kept.append(came_true(estimator, watched.mature, spec, watched.until))
        return estimate_signal(estimator, watched.rest, watched.baseline, spec, past)

    found = attempt(estimated, EstimateSignal)
    return found, kept[0] if kept else None


@task(cache_policy=NO_CACHE)
def compare_with_previous(watched: Watched) -> PreviousSignal:
    """Was the champion before a young one better on the same rows?"""
    if not watched.is_young:
        return PreviousSignal()
    version = watched.standing.previous_version
    assert version is not None  # noqa: S101 - a young champion has one before it

    def compared() -> PreviousSignal:
        answers = watched.mature.with_labels()
        asked = watched.previous_scores(answers) if len(answers.rows) else None
        if asked is None:
            return PreviousSignal(status="not_enough", reason="there are no rows that both can be judged by")
        scores, knows = asked
        return previous_signal(answers, scores, version, watched.context.spec, knows=knows)

    return attempt(compared, PreviousSignal)


@task(cache_policy=NO_CACHE)
def ask_users(watched: Watched) -> tuple[SatisfactionSignal, ...]:
    """The figures of the users' own that the spec names."""
    window = watched.windows.policy_span

    def figure(policy: UserMetricPolicy) -> SatisfactionSignal:
        area = partial(SatisfactionSignal, metric=policy.metric)
        return attempt(lambda: satisfaction_signal(policy, window), area)

    found = tuple(figure(policy) for policy in watched.context.spec.retraining.user_metrics)
    for each in found:
        logger.info("users     %s %s; %s", each.metric, each.value, each.reason)
    return found


@task(cache_policy=NO_CACHE)
def ask_services(watched: Watched, live: Live) -> OperationsSignal:
    """How the service is doing, from the log and from what it tells of itself."""
    spec, last = watched.context.spec, watched.judged[-1] if watched.judged else None

    def asked() -> OperationsSignal:
        states = service_health.ask_services(spec.release.services, spec.name, spec.monitoring, watched.until)
        before = last.signals.operations.figures if last else {}
        return service_health.operations_signal(live, states, before, spec.monitoring)

    return attempt(asked, OperationsSignal)


@task(cache_policy=NO_CACHE)
def gather(
    watched: Watched,
    *,
    taken: LabelsSignal,
    data: DataSignal,
    drift: DriftSignal,
    quality: QualitySignal,
    estimate: EstimateSignal,
    previous: PreviousSignal,
    satisfaction: tuple[SatisfactionSignal, ...],
    operations: OperationsSignal,
) -> Signals:
    """All that is known of the window."""
    spec, trained_until = watched.context.spec, watched.version.trained_until
    labels = taken if taken.status == "failed" else attempt(lambda: _new_labels(watched), LabelsSignal)
    return Signals(
        model=spec.name,
        window=watched.windows.window,
        reference=monitoring.reference_signal(watched.standing, watched.reference.profile, trained_until),
        data=data,
        drift=drift,
        quality=quality,
        estimate=estimate,
        previous=previous,
        labels=labels,
        code=attempt(lambda: read_code(watched.context, watched.turn, watched.standing.run_id), CodeSignal),
        satisfaction=satisfaction,
        operations=operations,
    )


def attempt_answers(watched: Watched) -> LabelledPredictions | None:
    """The answers with mature labels; none where they can't be read, which the quality then says."""
    try:
        return watched.mature
    except Exception as error:  # noqa: BLE001 - said by the area that needs them
        logger.warning("the labelled answers can't be read: %s", error)
        return None


def _whole_drift(watched: Watched, live: Live, result: DriftResult) -> DriftSignal:
    policy = watched.context.spec.monitoring
    explained = watched.explanation_drift(live.sample) if policy.explanation_drift else None
    joint = watched.joint_drift(live.sample) if policy.joint_drift else None
    first, again = _first_drift(watched), watched.fitted_again
    return monitoring.drift_signal(result, explained, joint, first, policy=policy, fitted_again=again)


def _first_drift(watched: Watched) -> DriftSignal | None:
    """Drift in the first window that the champion answered, if that was an earlier one."""
    own = f"v{watched.standing.version}-"
    found = [each.signals.drift for each in watched.judged if each.decision.reference.startswith(own)]
    return next((each for each in found if each.measured), None)


def _coverage_at_first(watched: Watched) -> float | None:
    """What share of the rows of the champion's hold-out has a label in the dataset."""
    spec, table = watched.context.spec, watched.context.workspace.table(watched.context.spec.name, "dataset")
    times = watched.reference.sample[spec.columns.time]
    window = watched.windows.window.model_copy(
        update={"since": times.min().to_pydatetime(), "until": times.max().to_pydatetime()}
    )
    counts = [
        (len(chunk), int(chunk[spec.columns.target].notna().sum()))
        for chunk in table.batches(window, spec.columns.time, [spec.columns.target])
    ]
    rows = sum(rows for rows, _ in counts)
    return sum(known for _, known in counts) / rows if rows else None


def _new_labels(watched: Watched) -> LabelsSignal:
    spec, table, mature = watched.context.spec, watched.context.workspace.table, watched.windows.labelled.until
    learned = monitoring.learned_until(watched.turns, spec, watched.version.trained_until, watched.until)
    if learned >= mature:
        return LabelsSignal(status="measured", new_rows=0)
    fresh = Window(since=learned, until=mature)
    log, known = table(spec.name, "predictions"), table(spec.name, "labels")
    return monitoring.labels_signal(log, known, fresh, watched.event_time, watched.until)


def _words(words: list[str]) -> str:
    return "; ".join(words[:3])
