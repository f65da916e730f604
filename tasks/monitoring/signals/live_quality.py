"""Live quality against the champion's hold-out, by slice, and against the champion before it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.maturity import coverage
from everfit.tasks.monitoring.signals.quality import business_value, by_slice, realised, time_spread
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, label_texts
from everfit.tasks.predictions.labels import LABEL
from everfit.tasks.statistics.business_value import worth_of
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.scores import onto_classes
from everfit.tasks.triage.signals import Baseline, PreviousSignal, QualitySignal

Floats = npt.NDArray[np.float64]

_GROUPS = 20
"""A protected column with more values than that gives no slices."""

_TOLD = 4
"""So many classes are named."""


def holdout_answers(sample: pd.DataFrame, spec: ModelSpec, classes: Sequence[str]) -> LabelledPredictions:
    """The reference's hold-out rows in the form of live ones.

    Args:
        sample: Of the reference.
        spec: The model's spec.
        classes: Those that the model knew that answered them, as text, in its order.
    """
    rows = sample[sample[spec.columns.target].notna()].copy()
    rows[LABEL] = label_texts(rows[spec.columns.target], spec.task)
    times = rows[spec.columns.time]
    window = Window(since=times.min().to_pydatetime(), until=times.max().to_pydatetime() + timedelta(microseconds=1))
    answers = LabelledPredictions(
        window, rows.sort_values(spec.columns.time), spec.columns.time, spec.task, tuple(classes)
    )
    return answers.with_labels()


def baseline_of(holdout: LabelledPredictions, spec: ModelSpec) -> Baseline:
    """The champion's quality on its hold-out, and by how much it differs between stretches of time.

    Raises:
        DataError: the metric has no value there.
    """
    found = realised(holdout.truth, holdout.scores, spec.metric, clusters=_clusters(holdout, spec))
    times = holdout.rows[holdout.event_time]
    stretches = ((times - times.min()) // spec.monitoring.window).to_numpy()
    spread = None
    if len(np.unique(stretches)) > 2:
        spread = time_spread(holdout.truth, holdout.scores, spec.metric, stretches, clusters=_clusters(holdout, spec))
    return found.baseline(spread)


def quality_signal(
    mature: LabelledPredictions,
    baseline: Baseline,
    spec: ModelSpec,
    *,
    usual: float | None,
    holdout: LabelledPredictions,
    threshold: float | None = None,
) -> QualitySignal:
    """Quality on rows whose labels are mature.

    Args:
        mature: The champion's answers that are old enough.
        baseline: On its hold-out.
        spec: The model's spec.
        usual: The usual share of labelled rows.
        holdout: For the slices' own baselines, and what its rows were worth.
        threshold: From which score on the user acts, where the spec says what that is worth.
    """
    policy = spec.monitoring
    if mature.rows.empty:
        reason = f"no prediction of the champion in {mature.window} to find labels for"
        return QualitySignal(status="not_enough", metric=spec.metric, window=mature.window, reason=reason)
    scores, flags = mature.scores, mature.labelled
    covered = coverage(scores, flags, inclusion=mature.with_labels().inclusion)
    told = {"metric": spec.metric, "window": mature.window, "rows": covered.labelled, "baseline": baseline}
    told |= {"coverage": covered.share, "usual_coverage": usual, "biased": covered.biased}
    judged = mature.with_labels()
    try:
        found = realised(
            judged.truth, judged.scores, spec.metric, inclusion=judged.inclusion, clusters=_clusters(judged, spec)
        )
    except NotEnoughError as error:
        return QualitySignal.model_validate({**told, "status": "not_enough", "reason": f"{error}; {covered.words}"})
    enough = covered.labelled >= policy.min_labels and not covered.biased
    few = f"{covered.labelled:,} mature labels; {policy.min_labels:,} are needed"
    reasons = [covered.words if enough or covered.biased else few, *_unknown_classes(judged)]
    return QualitySignal.model_validate(
        {
            **told,
            "status": "measured" if enough else "not_enough",
            "reason": "; ".join(reasons),
            "value": found.value,
            "standard_error": found.standard_error,
            "chance": found.chance,
            **_worth(judged, holdout, spec, threshold),
            "lost_slices": _lost_slices(judged, holdout, spec, policy.loss_bound(baseline.value, baseline.chance)),
        }
    )


def _unknown_classes(judged: LabelledPredictions) -> list[str]:
    """How many labels are of a class that the model doesn't know, in words; nothing in the usual case."""
    rows = judged.rows.loc[judged.unknown, LABEL]
    if rows.empty:
        return []
    names = [repr(str(name)) for name in rows.value_counts().index]
    told = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
    share = len(rows) / len(judged.rows)
    counted = f"{len(rows):,} of them ({share:.1%})"
    return [f"{counted} are of a class that the model doesn't know ({told}), and so answered wrongly"]


def _worth(
    judged: LabelledPredictions, holdout: LabelledPredictions, spec: ModelSpec, threshold: float | None
) -> dict[str, Any]:
    """What a row was worth, live and on the hold-out, where the spec says what answers are worth."""
    policy = spec.training.business_value
    if policy is None:
        return {}
    worth = worth_of(policy, 0.5 if threshold is None else threshold)
    live, before = (
        business_value(each.truth, each.scores, worth, clusters=_clusters(each, spec)) for each in (judged, holdout)
    )
    return {
        "value_per_row": live.per_row,
        "value_error": live.standard_error,
        "value_interval": live.interval,
        "value_unit": policy.unit,
        "baseline_value_per_row": before.per_row,
        "baseline_value_error": before.standard_error,
    }


def previous_signal(
    answers: LabelledPredictions, previous_scores: Floats, version: int, spec: ModelSpec, *, knows: Sequence[str]
) -> PreviousSignal:
    """The champion before this one on the same labelled rows.

    Args:
        answers: The champion's, with labels.
        previous_scores: What the former says of those rows; of a multiclass model for each class that it knows.
        version: The former.
        spec: The model's spec.
        knows: The classes that the former knows, as text, in its order; those of a binary model are the champion's.
    """
    if len(answers.rows) < spec.monitoring.min_labels:
        reason = f"{len(answers.rows):,} mature labels; {spec.monitoring.min_labels:,} are needed"
        return PreviousSignal(status="not_enough", reason=reason, version=version)
    if answers.task == "binary":  # of a third class neither could have known anything
        answers, previous_scores = answers.of(~answers.unknown), previous_scores[~answers.unknown]
    if answers.task == "multiclass":
        answers = answers.among(knows)
        previous_scores = onto_classes(previous_scores, knows, answers.every_class)
    clusters = _clusters(answers, spec)
    found = compare(answers.truth, previous_scores, answers.scores, spec.metric, clusters=clusters)
    gain, p_value = found.difference, found.p_value
    return PreviousSignal(status="measured", version=version, rows=found.rows, gain=gain, p_value=p_value)


def _lost_slices(
    judged: LabelledPredictions, holdout: LabelledPredictions, spec: ModelSpec, bound: float
) -> tuple[str, ...]:
    slices: dict[str, npt.NDArray[np.bool_]] = {}
    baselines: dict[str, Baseline] = {}
    for column in spec.columns.protected:
        if column not in judged.rows or column not in holdout.rows:
            continue
        old, new = (side.rows[column].astype("object").map(str) for side in (holdout, judged))
        groups = old.value_counts()
        for group in list(groups.index[:_GROUPS]):
            part = holdout.of((old == group).to_numpy())
            if len(part.rows) < spec.monitoring.min_labels:
                continue
            try:
                own = realised(part.truth, part.scores, spec.metric, draws=200, clusters=_clusters(part, spec))
            except NotEnoughError:
                continue
            name = f"{column}={group}"
            baselines[name], slices[name] = own.baseline(), (new == group).to_numpy()
    found = by_slice(
        judged.truth,
        judged.scores,
        spec.metric,
        slices,
        baselines,
        bound=bound,
        min_rows=spec.monitoring.min_labels,
        draws=200,
        clusters=_clusters(judged, spec),
    )
    return tuple(each.name for each in found if each.lost)


def _clusters(answers: LabelledPredictions, spec: ModelSpec) -> npt.NDArray[np.int64] | None:
    return answers.days if spec.gate.resample == "days" else None
