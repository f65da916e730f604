"""Label collection as a Prefect task."""

from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.batch import label_collection
from everfit.tasks.batch.label_collection import CollectedLabels
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import Window
from everfit.tasks.turns.context import Context

LABELLED, NOTHING_NEW = "Labelled", "NothingNew"
"""Names of the flow's final states."""


@task
def collect_labels(context: Context, window: Window) -> CollectedLabels:
    """Record the labels of a window of the source, and count those that have no prediction.

    Args:
        context: The model.
        window: The event times to read; labels that are known at its end are collected.

    Returns:
        How many labels were added, corrected or unchanged, and how many have no prediction.

    Raises:
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: A label is invalid.
    """
    return label_collection.collect_labels(context, window)


def final_state(result: CollectedLabels) -> State[dict[str, Any]]:
    """Return the flow's final state: `Labelled`, or `NothingNew` if every label was recorded before."""
    recorded = result.recorded
    name = LABELLED if recorded.added or recorded.corrected or recorded.older else NOTHING_NEW
    message = f"{recorded.added} new labels, {recorded.corrected} corrected; {result.unmatched} without a prediction"
    return ended(Completed(name=name, message=message, data=result.model_dump(mode="json")))
