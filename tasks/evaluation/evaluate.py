"""Evaluate: challenger, champion and a dummy on the same later rows, which no model has trained on."""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, MetricError, NotEnoughError
from everfit.blocks.metrics import TaskKind, is_own_metric
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.column_words import namesakes_of
from everfit.tasks.core.metric_scale import scale_of
from everfit.tasks.core.paired_comparison import EarlierGains, PairedComparison
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.row_choice import label_is_visible
from everfit.tasks.data.split import Sample, TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation.leakage import filled_with_the_label, parts_of_the_target, suspected_leaks
from everfit.tasks.evaluation.measurement import Incumbent, Measurement
from everfit.tasks.evaluation.model_comparison import Earlier, compare_models
from everfit.tasks.evaluation.scored_rows import EarlierModel, ScoredRows, score_rows
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.gate import Evidence
from everfit.tasks.gate.checks import CHECKS
from everfit.tasks.gate.holdout_start import count_overlap, holdout_start_allowed
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.newest_parts import Gain, agreeing_parts
from everfit.tasks.statistics.scores import prior_scores
from everfit.tasks.storage.tables import KEY
from everfit.tasks.training.results import Fitted, read_model

logger = logging.getLogger("everfit.training")

REPORTED: dict[TaskKind, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "balanced_accuracy", "f1_macro"),
    "regression": ("rmse", "mae", "r2"),
}
"""The metrics that are reported beside the primary one."""


def evaluate(
    data: TrainingData,
    challenger: Fitted,
    incumbent: Incumbent | None,
    validation: Validation,
    attempt: int = 1,
    *,
    earlier: Sequence[EarlierGains] = (),
) -> Evidence:
    """Measure the challenger against the champion and a dummy, and whatever else the gate's policy asks for.

    Rows before the moment up to which the champion was trained are left out of the hold-out.

    Args:
        data: The turn's rows.
        challenger: The newest of the challenger's models, with the earlier ones.
        incumbent: The champion; None when there is none yet.
        validation: The validation of the turn's data.
        attempt: Number of this comparison with the champion, from 1 on.
        earlier: The autocorrelation of comparisons with earlier champions, oldest first.

    Raises:
        DataError: No row is left that neither model has trained on, or labels and scores are impossible.
    """
    spec = data.spec
    training = data.training_rows(data.split.training)
    scored, holdout = _still_telling(data, challenger, score_holdout(data, challenger, incumbent, training))
    values = {name: _metrics(spec, scored.truth, scores) for name, scores in scored.scores.items()}
    unmeasured = _Unmeasured()
    return Evidence(
        model=spec.name,
        metric=spec.metric,
        greater_is_better=metric(spec.metric, spec.task).greater_is_better,
        own_metrics={
            name: scale_of(metric(name, spec.task).facts) for name in metric_names(spec) if is_own_metric(name)
        },
        holdout=holdout if holdout is not None else _unseen(data, incumbent.version if incumbent else None),
        sampled=isinstance(data.split.holdout, Sample),
        holdout_rows=len(scored.rows),
        holdout_digest=hashlib.sha256(np.sort(scored.rows[KEY].to_numpy()).tobytes()).hexdigest(),
        holdout_extended=not _can_reach_back(data, incumbent, training),
        overlap_rows=_overlap(data, challenger, scored.rows),
        rarest_class_rows=_rarest(spec, scored),
        challenger_trained_until=challenger.chain[0].trained_on.until,
        champion_version=incumbent.version.version if incumbent else None,
        champion_trained_until=incumbent.version.trained_until if incumbent else None,
        challenger=values["challenger"],
        champion=values.get("champion"),
        dummy=values["dummy"],
        comparison=_compared(spec, scored, "champion", unmeasured, earlier) if incumbent else None,
        attempt=attempt,
        earlier_gains=tuple(earlier),
        dummy_comparison=_compared(spec, scored, "dummy", unmeasured),
        expectations_passed=validation.passed,
        suspected_leaks=leaks(data, training),
        namesakes=tuple(
            name for name in namesakes_of(spec.columns.target, data.features) if name not in spec.training.allow_leaks
        ),
        not_measured=unmeasured.reasons,
        not_enough=unmeasured.too_few_rows,
        **_areas(Measurement(data, scored, challenger, incumbent)),
    )


def _areas(measurement: Measurement) -> dict[str, Any]:
    """Measure what the checks of the gate declare to be measured, each by the module here that has its name."""
    fields: dict[str, Any] = {}
    areas: dict[str, Any] = {}
    for name in (check.name.replace(" ", "_") for check in CHECKS if check.measured):
        result = import_module(f"everfit.tasks.evaluation.{name}").measure(measurement)
        if name in Evidence.model_fields:
            fields[name] = result
        elif result is not None:
            areas[name] = result.model_dump(mode="json")
    return {**fields, "areas": areas}


def score_holdout(
    data: TrainingData, challenger: Fitted, incumbent: Incumbent | None, training: pd.DataFrame
) -> ScoredRows:
    """Score the hold-out rows that no model has trained on with challenger, champion and dummy."""
    spec = data.spec
    also = [*slice_columns(spec), *spec.columns.key, *(incumbent.model.feature_names_in_ if incumbent else [])]
    try:
        rows = data.rows(_unseen(data, incumbent.version if incumbent else None), "compare on", also)
    except NotEnoughError as error:
        if incumbent is None:
            raise
        raise DataError(f"{spec.name}: {_all_seen(spec, incumbent.version)}") from error
    models = {"challenger": read_model(challenger, data.workspace)}
    models |= {"champion": incumbent.model} if incumbent else {}
    scored = score_rows(spec, rows, models, earlier_models(data, challenger, rows))
    dummy = prior_scores(training[spec.columns.target], len(rows), scored.classes, spec.task)
    return replace(scored, scores={**scored.scores, "dummy": dummy})


def earlier_models(data: TrainingData, challenger: Fitted, rows: pd.DataFrame) -> list[EarlierModel]:
    """Load the models that the procedure gave at earlier times of the hold-out, each with the rows it is judged on.

    Args:
        data: The turn's rows.
        challenger: The newest of them.
        rows: The rows of the hold-out.
    """
    return [
        EarlierModel(read_model(fitted, data.workspace), judged)
        for fitted, judged in zip(challenger.earlier, challenger.judged(rows[data.spec.columns.time]), strict=False)
    ]


def _still_telling(data: TrainingData, challenger: Fitted, scored: ScoredRows) -> tuple[ScoredRows, Window | None]:
    """Return the rows of the newest parts of the hold-out that agree on the challenger's gain, and their window.

    After a change in the world, the rows before tell nothing about the models' use from now on. Without a change, these
    are all rows of the hold-out.

    Args:
        data: The turn's rows.
        challenger: The newest of its models, with the earlier ones.
        scored: The hold-out.

    Returns:
        The rows, and the window if it is shorter than the hold-out.
    """
    parts = challenger.judged(scored.rows[data.spec.columns.time])[::-1]
    other = "champion" if "champion" in scored.scores else "dummy"

    def gain(newest: int, oldest: int) -> Gain | None:
        try:
            compared = compare_models(data.spec, scored.subset(np.logical_or.reduce(parts[newest:oldest])), other)
        except (DataError, MetricError):
            return None  # too few rows of a class
        return Gain(compared.difference, compared.deviation, compared.degrees_of_freedom or math.inf)

    agreeing = agreeing_parts(len(parts), gain)
    if agreeing == len(parts):
        return scored, None
    kept = scored.subset(np.logical_or.reduce(parts[:agreeing]))
    since = kept.rows[data.spec.columns.time].min().to_pydatetime()
    return kept, data.split.holdout.model_copy(update={"since": since})


def _overlap(data: TrainingData, challenger: Fitted, rows: pd.DataFrame) -> int:
    """Count the rows of the hold-out that the model which is judged on them was trained on."""
    parts = zip(challenger.chain, challenger.judged(rows[data.spec.columns.time]), strict=True)
    return sum(count_overlap(rows[KEY][judged], data.training_rows(fitted.trained_on)[KEY]) for fitted, judged in parts)


def _rarest(spec: ModelSpec, scored: ScoredRows) -> int | None:
    """Return the number of hold-out rows of the rarest class; 0 if one of two classes has none."""
    if spec.task == "regression":
        return None
    counts = np.unique(scored.truth, return_counts=True)[1]
    return int(counts.min()) if len(counts) > 1 else 0


def leaks(data: TrainingData, training: pd.DataFrame) -> tuple[str, ...]:
    """The features that seem to know the label, but for those that the spec allows."""
    spec = data.spec
    suspects = [*suspected_leaks(training[data.features], training[spec.columns.target], spec.task)]
    suspects += parts_of_the_target(training[data.features], training[spec.columns.target], spec.task)
    everything = data.all_rows(Window(since=data.split.whole.since, until=data.until))
    labelled = label_is_visible(everything, spec, data.until)
    suspects += filled_with_the_label(everything[data.features], labelled)
    return tuple(name for name in dict.fromkeys(suspects) if name not in spec.training.allow_leaks)


def why_nothing_to_compare_on(data: TrainingData, champion: ModelVersion) -> str:
    """Return why a challenger could not be compared with the champion, if no later row has a label yet; else "".

    Args:
        data: The turn's rows.
        champion: The champion's version.

    Raises:
        DataError: The champion has trained on rows after the hold-out.
    """
    unseen = _unseen(data, champion)
    if unseen == data.split.holdout:
        return ""
    try:
        data.rows(unseen, "compare on")
    except NotEnoughError:
        return _all_seen(data.spec, champion)
    return ""


def _all_seen(spec: ModelSpec, champion: ModelVersion) -> str:
    return (
        f"no challenger can be compared with champion {champion.version}, which has trained on all rows before "
        f"{champion.trained_until:%Y-%m-%d %H:%M}, and no later row has a label yet; train again when labels of later "
        f"rows are known (maturity is {format_duration(spec.maturity)})"
    )


def _unseen(data: TrainingData, champion: ModelVersion | None) -> Window:
    """The part of the hold-out that the champion has not trained on."""
    holdout = data.split.holdout
    if champion is None or (holdout.since is not None and champion.trained_until <= holdout.since):
        return holdout
    seen = champion.trained_until
    if seen >= holdout.until:
        raise DataError(
            f"{data.spec.name}: champion {champion.version} has trained on all rows before "
            f"{seen:%Y-%m-%d %H:%M}, so the hold-out ({holdout}) has none left to compare on; "
            f"choose a later until, or wait for new labels"
        )
    return holdout.model_copy(update={"since": seen})


def _can_reach_back(data: TrainingData, incumbent: Incumbent | None, training: pd.DataFrame) -> bool:
    """Whether a longer hold-out is possible: with rows from before it that the champion has not trained on."""
    since = data.split.holdout.since
    if data.split.extended or since is None or data.spec.columns.event_time is None:
        return False
    seen = holdout_start_allowed(incumbent.version.trained_until if incumbent else None)
    later = training[data.spec.columns.time] >= seen if seen is not None else training[KEY].notna()
    return bool(later.any())


def _metrics(
    spec: ModelSpec, truth: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name in metric_names(spec):
        try:
            values[name] = metric(name, spec.task).score(truth, scores)
        except MetricError as error:  # of the user's own: the gate fails what rests on it
            logger.warning("metric    %s", error)
            values[name] = None
        except NotEnoughError:
            values[name] = None  # not defined on these rows, and so no evidence
        except DataError:
            if name == spec.metric:
                raise
            values[name] = None
    return values


def metric_names(spec: ModelSpec) -> Sequence[str]:
    """The metrics that are measured, the primary one first."""
    return tuple(dict.fromkeys([spec.metric, *spec.gate.minimum, *REPORTED[spec.task]]))


@dataclass
class _Unmeasured:
    """Why comparisons could not be measured.

    Attributes:
        reasons: By check.
        too_few_rows: Those of them that more rows would measure.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    too_few_rows: dict[str, str] = field(default_factory=dict)


def _compared(
    spec: ModelSpec, scored: ScoredRows, other: str, unmeasured: _Unmeasured, earlier: Earlier = None
) -> PairedComparison | None:
    """Compare the challenger with another model. Where that is impossible, note the reason."""
    check = "dummy" if other == "dummy" else "comparison"
    try:
        return compare_models(spec, scored, other, earlier)
    except (MetricError, NotEnoughError) as error:
        unmeasured.reasons[check] = str(error)
        if isinstance(error, NotEnoughError):
            unmeasured.too_few_rows[check] = str(error)
        return None
