"""Label collection as a step."""

from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.batch import label_collection
from everfit.tasks.batch.label_collection import CollectedLabels
from everfit.tasks.core.final_states import ended
from everfit.tasks.steps.context import moment
from everfit.tasks.steps.step import step
from everfit.tasks.turns.context import Context

LABELLED, NOTHING_NEW = "Labelled", "NothingNew"
"""Names of the flow's final states."""


@step("network", log="labels")
def collect_labels(context: Context, until: datetime | None = None) -> CollectedLabels:
    """Record the labels that have become known in the source, and count those that have no prediction.

    Args:
        context: The model, as `open_context` returns it.
        until: Labels that become known after it are ignored. By default it is the flow run's scheduled time, or now.

    Returns:
        How many labels were added, corrected or unchanged, and how many have no prediction.

    Raises:
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: A label is invalid.

    Example:
        >>> context = everfit.tasks.open_context("deliveries")
        >>> labels = everfit.tasks.collect_labels(context, until=UNTIL)
        >>> labels.recorded.added > 0
        True
    """
    return label_collection.collect_labels(context, label_collection.label_window(context, moment(until)))


def final_state(result: CollectedLabels) -> State[dict[str, Any]]:
    """Return the flow's final state: `Labelled`, or `NothingNew` if every label was recorded before."""
    recorded = result.recorded
    name = LABELLED if recorded.added or recorded.corrected or recorded.older else NOTHING_NEW
    message = f"{recorded.added} new labels, {recorded.corrected} corrected; {result.unmatched} without a prediction"
    message += f"; {result.aside.count} rows set aside" if result.aside.count else ""
    return ended(Completed(name=name, message=message, data=result.model_dump(mode="json")))
