"""Batch scoring as a step."""

from datetime import datetime
from typing import Any

import pandas as pd
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.batch.scoring import ScoringResult, score_batch, scoring_window
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import Window
from everfit.tasks.data.transform import Function
from everfit.tasks.monitoring.first_bounds import offer_bounds
from everfit.tasks.predictions.prediction_log import PREDICTED_AT
from everfit.tasks.release.traffic.trials import in_shadow
from everfit.tasks.steps.context import moment
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.task_runners import workers
from everfit.tasks.storage.table_schema import read_changed_by
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.scoring")

SCORED, NOTHING_NEW = "Scored", "NothingNew"
"""Names of the flow's final states."""


@step("network")
def score(
    context: Context,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    shadow: bool = False,
    transform: Function | None = None,
) -> ScoringResult:
    """Predict on the rows of a window of the source with the champion, into the prediction log.

    A row that the champion has scored is not scored again.

    Args:
        context: The model, as `open_context` returns it.
        since: Beginning of the window. If omitted, the window begins where earlier batches ended, less the source's
            look-back; if given, a champion scores again rows that an earlier champion has scored.
        until: End of the window. By default it is the time for which the flow run was scheduled, or now.
        shadow: Let the challenger predict too; its predictions are logged beside the champion's. In a trial of the
            strategy `shadow` it does anyway.
        transform: The function that `transform_rows` called for training, if there was one, so that the model scores
            rows of the same form. Labels may be missing from the rows that it gets.

    Returns:
        How many predictions each version added to the prediction log.

    Raises:
        ModelError: The model has no champion, or its version can't be loaded.
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: The rows lack a column that the champion needs, or `transform` changed their number.

    Example:
        >>> context = everfit.tasks.open_context("deliveries")
        >>> result = everfit.tasks.score(context, since=datetime(2024, 2, 20, tzinfo=UTC), until=UNTIL)
        >>> result.added > 0
        True
    """
    changed_by = read_changed_by(context.workspace, context.spec.name)
    if changed_by and transform is None:
        logger.warning(
            "the rows for training were changed by %s, and these are not, so their scores may be wrong. Score by a "
            "flow of your own with the same function: everfit.tasks.score(context, transform=FUNCTION)",
            " and ".join(changed_by),
        )
    window = scoring_window(context, since, moment(until))
    shadow = shadow or in_shadow(context)
    offer_bounds(context)
    with workers(context.workspace.uri) as spread:
        return score_batch(context, window, again=since is not None, shadow=shadow, function=transform, spread=spread)


@step("network", log="read")
def read_predictions(context: Context, since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
    """Read the prediction log of a window.

    Args:
        context: The model, as `open_context` returns it.
        since: Beginning of the window, in event time; all that came before `until` if omitted.
        until: End of the window. By default it is the time for which the flow run was scheduled, or now.

    Returns:
        A data frame of shape (predictions, columns) in order of event time: the rows' own columns, and among others
        `_prediction_id`, `_predicted_at`, `_prediction`, `_score` (between 0 and 1) and `_model_version`.

    Raises:
        WorkspaceError: Nothing has been predicted yet.

    Example:
        >>> predictions = everfit.tasks.read_predictions(context, until=UNTIL)
        >>> bool(predictions["_score"].between(0, 1).all())
        True
    """
    table = context.workspace.table(context.spec.name, "predictions")
    return table.read(Window(since=since, until=moment(until)), context.spec.columns.event_time or PREDICTED_AT)


def final_state(result: ScoringResult) -> State[dict[str, Any]]:
    """Return the flow's final state: `Scored`, or `NothingNew` if no prediction was added."""
    name = SCORED if result.added or result.shadow_added else NOTHING_NEW
    message = f"{result.added} predictions of version {result.model_version} in {result.window}"
    message += f"; {result.aside.count} rows set aside" if result.aside.count else ""
    return ended(Completed(name=name, message=message, data=result.model_dump(mode="json")))
