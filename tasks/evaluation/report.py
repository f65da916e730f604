"""The report that a model version carries: how good, where not, for whom not, and why it answers as it does."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.split import Sample, TrainingData
from everfit.tasks.evaluation.calibration import CalibrationBin, calibration_curve, of_the_answer
from everfit.tasks.evaluation.class_changes import class_changes
from everfit.tasks.evaluation.evaluate import metric_names, score_holdout
from everfit.tasks.evaluation.explanations import ShapValues, permutation_importance, shap_values
from everfit.tasks.evaluation.fairness import GroupRates, fairness_evidence, group_rates
from everfit.tasks.evaluation.robustness import Robustness, robustness
from everfit.tasks.evaluation.scored_rows import ScoredRows, score_rows
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.evaluation.word_effects import word_effects
from everfit.tasks.gate.evidence import CalibrationEvidence, FairnessEvidence, Measured
from everfit.tasks.statistics.comparison import Interval, interval
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.training.results import Fitted, how_fitted, read_model

_DRAWS = 500
_INTERVAL_ROWS = 20_000
_TRAINING_ROWS = 20_000
_PARTS = 7
_TOO_CLOSE = 0.02
_LITTLE = 0.25

Found = TypeVar("Found")


class Part(Record):
    """The primary metric on one part of the hold-out's time."""

    since: AwareDatetime
    rows: int
    value: Measured


class Report(Record):
    """The measurements of a challenger on its hold-out that a person reads."""

    model: str
    task: str
    candidate: str
    metric: str
    training: Sample | Window
    training_rows: int
    fitted: str = Field(
        default="", exclude_if=lambda how: not how, description="How, if not on all rows by one process, in words."
    )
    holdout: Sample | Window
    rows: int
    predictions_digest: str = Field(description="SHA-256 of the hold-out's predictions, as float64 in time order.")
    metrics: tuple[Interval, ...] = Field(description="With their two-sided confidence intervals.")
    interval_rows: int = Field(description="The sample of the hold-out that the intervals' bounds are drawn from.")
    on_training: Measured = Field(description="The primary metric on a sample of the rows it was fitted on.")
    fit: str = Field(description="Over- or underfit, in words.")
    classes: tuple[str, ...] = Field(default=(), description="Those that only training or hold-out has, in words.")
    over_time: tuple[Part, ...] = Field(
        description="The values of parts of the hold-out in time; none of rows without times."
    )
    groups: tuple[GroupRates, ...] = Field(
        description="The rates of each value of the slices' and the protected columns."
    )
    fairness: tuple[FairnessEvidence, ...] = ()
    calibration: CalibrationEvidence | None = None
    curve: tuple[CalibrationBin, ...] = Field(
        description="Reliability; of a regression, truth by decile of the answer."
    )
    importance: dict[str, float] = Field(description="Loss of the primary metric when a feature is shuffled.")
    features_left_out: int = Field(default=0, description="Features that move the answers least, with no importance.")
    shap: ShapValues | None = None
    words: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="The mean change of the score that each word of a free text makes, the largest first.",
    )
    robustness: Robustness | None = None
    threshold: float | None = Field(default=None, description="Best in value on validation rows.")
    full: bool = Field(default=True, description="Whether SHAP values, robustness and plots are included.")
    left_out: dict[str, str] = Field(default_factory=dict, description="The reason of each failed measurement.")

    @property
    def attribution(self) -> dict[str, float]:
        """Attribution by feature: by SHAP values, or by permutation where there are none."""
        return self.importance if self.shap is None else self.shap.mean_absolute


def make_report(
    data: TrainingData, challenger: Fitted, holdout: Window, calibration: CalibrationEvidence | None
) -> tuple[Report, ScoredRows]:
    """Measure a challenger on its hold-out.

    Args:
        data: The turn's rows.
        challenger: As it was scored, before a refit.
        holdout: The part of the hold-out that it was judged on.
        calibration: As the gate has it.

    Returns:
        The report, and the scored rows, for plots.
    """
    spec = data.spec
    judged_on = data.split.holdout.model_copy(update={"since": holdout.since})
    narrowed = replace(data, split=data.split.model_copy(update={"holdout": judged_on}))
    training = data.training_rows(challenger.trained_on)
    scored = score_holdout(narrowed, challenger, None, training)
    left_out: dict[str, str] = {}
    sample = np.sort(np.random.default_rng(spec.training.seed).permutation(len(scored.truth))[:_INTERVAL_ROWS])
    metrics = tuple(
        estimated
        for name in metric_names(spec)
        if (estimated := _interval(spec.training.seed, scored, name, sample, left_out))
    )
    fitted_on = training.sample(min(len(training), _TRAINING_ROWS), random_state=spec.training.seed).sort_index()
    again = score_rows(spec, fitted_on, {"challenger": read_model(challenger, data.workspace)})
    on_training = _score(spec.metric, again)
    protected, shown = spec.columns.protected, dict.fromkeys([*slice_columns(spec), *spec.columns.protected])
    classes, full = spec.task != "regression", spec.training.evidence == "full"
    seed = spec.training.seed
    newest = scored.newest()
    written = [name for name in spec.columns.text if name in newest.models["challenger"].feature_names_in_]
    importance = _or_left_out("importance", lambda: permutation_importance(newest, spec.metric, seed), left_out)
    report = Report(
        model=spec.name,
        task=spec.task,
        candidate=challenger.candidate,
        metric=spec.metric,
        training=challenger.trained_on,
        training_rows=challenger.rows,
        fitted=how_fitted(challenger),
        holdout=judged_on,
        rows=len(scored.truth),
        predictions_digest=predictions_digest(scored),
        metrics=metrics,
        interval_rows=len(sample),
        on_training=on_training,
        fit=_fit_in_words(scored, spec.metric, on_training),
        classes=class_changes(training[spec.columns.target], scored.rows[spec.columns.target], spec.task),
        over_time=() if spec.columns.event_time is None else _over_time(scored, spec.metric, spec.columns.event_time),
        groups=group_rates(scored, tuple(shown)),
        fairness=fairness_evidence(scored, protected) if classes else (),
        calibration=calibration,
        curve=calibration_curve(*of_the_answer(scored, "challenger")),
        importance=importance or {},
        features_left_out=len(newest.models["challenger"].feature_names_in_) - len(importance) if importance else 0,
        shap=_or_left_out("shap", lambda: shap_values(newest, seed), left_out) if full else None,
        words=(_or_left_out("words", lambda: word_effects(newest, written, seed), left_out) or {}) if full else {},
        robustness=_or_left_out("robustness", lambda: robustness(newest, seed), left_out) if full else None,
        threshold=challenger.threshold,
        full=full,
        left_out=left_out,
    )
    return report, scored


def predictions_digest(scored: ScoredRows, role: str = "challenger") -> str:
    """SHA-256 of a model's predictions on rows in time order."""
    return hashlib.sha256(np.ascontiguousarray(scored.scores[role]).tobytes()).hexdigest()


def _or_left_out(name: str, measure: Callable[[], Found], left_out: dict[str, str]) -> Found | None:
    """Return the measurement. On an error return None and keep the reason in `left_out`: a report never ends a turn."""
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - explainers may raise anything, and the report has the reason
        left_out[name] = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        return None


def _interval(
    seed: int, scored: ScoredRows, name: str, sample: npt.NDArray[np.intp], left_out: dict[str, str]
) -> Interval | None:
    estimated = _or_left_out(
        name,
        lambda: interval(
            scored.truth[sample],
            scored.scores["challenger"][sample],
            metric(name, scored.task),
            draws=_DRAWS,
            seed=seed,
        ),
        left_out,
    )
    if estimated is None:
        return None
    return estimated.model_copy(update={"value": _score(name, scored)})


def _score(name: str, scored: ScoredRows, role: str = "challenger") -> float | None:
    try:
        return metric(name, scored.task).score(scored.truth, scored.scores[role])
    except DataError:
        return None


def _fit_in_words(scored: ScoredRows, name: str, on_training: float | None) -> str:
    measured, value, dummy = metric(name, scored.task), _score(name, scored), _score(name, scored, "dummy")
    if value is None or on_training is None or dummy is None:
        return f"{name} has no value on one of the sides, so nothing is known"
    skill, drop = measured.gain(value, dummy), measured.gain(on_training, value)
    scores = f"{name} {on_training:.4g} on training rows, {value:.4g} on the hold-out, {dummy:.4g} of a dummy"
    if measured.gain(on_training, dummy) <= _TOO_CLOSE * abs(dummy):
        return f"underfit: hardly better than a dummy even on its own training rows ({scores})"
    if skill <= 0:
        return f"overfit, or the world has changed: no better than a dummy on later rows ({scores})"
    if drop > skill:
        return f"overfit, or the world has changed: more than half of what it learned is lost on later rows ({scores})"
    if drop > _LITTLE * (drop + skill):
        lost = drop / (drop + skill)
        return (
            f"somewhat overfit: {lost:.0%} of what it learned of its training rows is lost on the hold-out ({scores})"
        )
    return f"neither over- nor underfit ({scores})"


def _over_time(scored: ScoredRows, name: str, time: str) -> tuple[Part, ...]:
    parts = []
    for chosen in np.array_split(np.arange(len(scored.truth)), min(_PARTS, max(1, len(scored.truth) // 50))):
        inside = np.zeros(len(scored.truth), dtype=np.bool_)
        inside[chosen] = True
        first: datetime = scored.rows[time].iloc[chosen[0]].to_pydatetime()
        parts.append(Part(since=first, rows=len(chosen), value=_score(name, scored.subset(inside))))
    return tuple(parts)
