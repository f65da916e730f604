"""Batch scoring as a Prefect task."""

from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.batch.scoring import ScoringResult, score_batch
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import Window
from everfit.tasks.turns.context import Context

SCORED, NOTHING_NEW = "Scored", "NothingNew"
"""Names of the flow's final states."""


@task
def score(context: Context, window: Window, *, again: bool = False, shadow: bool = False) -> ScoringResult:
    """Predict on a window of the source with the champion, and with the challenger if it is in shadow.

    Args:
        context: The model.
        window: The span of event time to score.
        again: Let the champion predict again on a window that an earlier champion has scored completely.
        shadow: Let the challenger predict too.

    Returns:
        How many predictions each version added to the prediction log.

    Raises:
        ModelError: The model has no champion, or its version can't be loaded.
        SpecError: The model has no event time.
        SourceError: The source can't be read.
    """
    return score_batch(context, window, again=again, shadow=shadow)


def final_state(result: ScoringResult) -> State[dict[str, Any]]:
    """Return the flow's final state: `Scored`, or `NothingNew` if no prediction was added."""
    name = SCORED if result.added or result.shadow_added else NOTHING_NEW
    message = f"{result.added} predictions of version {result.model_version} in {result.window}"
    return ended(Completed(name=name, message=message, data=result.model_dump(mode="json")))
