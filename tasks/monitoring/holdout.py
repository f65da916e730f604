"""The champion's quality on its hold-out, with which live quality is compared."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.quality import realised, time_spread
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, label_texts
from everfit.tasks.predictions.labels import LABEL
from everfit.tasks.triage.quality_signals import Baseline


def holdout_answers(sample: pd.DataFrame, spec: ModelSpec, classes: Sequence[str]) -> LabelledPredictions:
    """Return the reference's hold-out rows in the form of live ones.

    Args:
        sample: The sample of the reference.
        spec: The model's spec.
        classes: The classes of the model that answered these rows, as text, in its order.
    """
    rows = sample[sample[spec.columns.target].notna()].copy()
    rows[LABEL] = label_texts(rows[spec.columns.target], spec.task)
    times = rows[spec.columns.time]
    window = Window(since=times.min().to_pydatetime(), until=times.max().to_pydatetime() + timedelta(microseconds=1))
    answers = LabelledPredictions(
        window,
        rows.sort_values(spec.columns.time),
        spec.columns.time,
        spec.task,
        tuple(classes),
        entity=spec.columns.entity,
    )
    return answers.with_labels()


def baseline_of(holdout: LabelledPredictions, spec: ModelSpec) -> Baseline:
    """Return the champion's quality on its hold-out, and its spread between stretches of time.

    Raises:
        DataError: the metric has no value there.
    """
    quality = realised(holdout.truth, holdout.scores, spec.metric, days=holdout.days, entities=holdout.entities)
    times = holdout.rows[holdout.event_time]
    stretches = ((times - times.min()) // spec.monitoring.window).to_numpy()
    spread = None
    if len(np.unique(stretches)) > 2:
        spread = time_spread(
            holdout.truth, holdout.scores, spec.metric, stretches, days=holdout.days, entities=holdout.entities
        )
    return quality.baseline(spread)


def entity_effect(answers: LabelledPredictions, holdout: LabelledPredictions, spec: ModelSpec) -> float:
    """Return by how much the errors of answers are to be widened because rows of an entity hang together.

    The log shows the entity if it is a feature or part of the key, and the errors count it then. Otherwise the
    hold-out, which has the column, shows by how much it matters.

    Args:
        answers: The live answers.
        holdout: The champion's answers on its hold-out.
        spec: The model's spec.

    Returns:
        1 if the answers show their entities, or the spec names none.

    Raises:
        DataError: the metric has no value on the hold-out.
    """
    if spec.columns.entity is None or answers.entities is not None or holdout.entities is None:
        return 1.0
    alone = realised(holdout.truth, holdout.scores, spec.metric, days=holdout.days).standard_error
    whole = realised(holdout.truth, holdout.scores, spec.metric, days=holdout.days, entities=holdout.entities)
    return whole.standard_error / alone if alone > 0 else 1.0


def resampled_days(answers: LabelledPredictions, spec: ModelSpec) -> npt.NDArray[np.int64] | None:
    """Return the day of each row if the spec resamples whole days, otherwise None."""
    return answers.days if spec.gate.resample == "days" else None
