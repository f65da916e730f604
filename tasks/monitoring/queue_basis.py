"""The knowledge by which the labelling queue picks rows: the champion's reference, and the labels an estimate needs."""

from collections.abc import Callable
from datetime import datetime

import pandas as pd

from everfit.blocks.errors import DataError, ModelError
from everfit.tasks.batch.label_queue import Basis
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.reference import load_reference
from everfit.tasks.predictions import labels
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.registry import model_registry
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.statistics.label_need import LabelNeed
from everfit.tasks.turns.context import Context


def queue_basis(context: Context, until: datetime, within: float | None) -> tuple[Basis, str]:
    """Return what rows are picked by, and a note about what is missing; empty if nothing is.

    Args:
        context: The model.
        until: The moment.
        within: The half-width to which the primary metric is to be known; None picks rows for what they teach.

    Raises:
        ModelError: The model has no champion, or with a half-width no reference.
        DataError: The metric can't be estimated without labels.
    """
    spec, client = context.spec, context.mlflow
    champion = model_registry.champion(client, spec.name)
    if champion is None:
        raise ModelError(f"{spec.name!r} has no champion, and so no predictions to label; run `everfit train` first")
    classes = () if spec.task == "regression" else _classes(context, champion)
    basis = Basis(champion.version, classes)
    if within is not None:
        monitored = MonitoredModel.find(context, until)
        own = Basis(
            champion.version, classes, monitored.reference.profile, monitored.reference.sample, _need(monitored, within)
        )
        return own, ""
    try:
        reference = load_reference(client, context.ledger, champion)
    except ModelError as error:
        return basis, f"Note: no rows are picked for drift or because they were never seen, since {error}"
    return Basis(champion.version, classes, reference.profile, reference.sample), ""


def _classes(context: Context, champion: ModelVersion) -> tuple[str, ...]:
    return tuple(str(label) for label in load_scorer(context.mlflow, context.ledger, champion).classes)


def _need(monitored: MonitoredModel, within: float) -> Callable[[pd.DataFrame], LabelNeed]:
    spec, estimator = monitored.context.spec, monitored.estimator
    if estimator is None:
        raise DataError(
            f"{spec.metric} can't be estimated without labels, so nothing tells which ones it needs; give --n"
        )

    def need(rows: pd.DataFrame) -> LabelNeed:
        window = Window(until=monitored.until)
        unknown = rows.assign(**{labels.LABEL: None})
        answers = LabelledPredictions(window, unknown, monitored.event_time, spec.task, monitored.classes)
        return estimator.need(answers.among(monitored.holdout.every_class), within)

    return need
