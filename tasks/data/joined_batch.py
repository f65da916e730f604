"""Join other sources to the rows of a batch, as of their events."""

from datetime import datetime

from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.joined_rows import opened_joins
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.staging import Staging
from everfit.tasks.data.transform import restaged
from everfit.tasks.storage.workspace import Workspace


def join_batch(spec: ModelSpec, batch: Batch, workspace: Workspace) -> Batch:
    """Return the batch of the joined rows; the rows as they were read stay staged beside them.

    The dataset gets the joined values, so its snapshots cover them, however the joined sources change later.

    Args:
        spec: Spec of the model, with joins.
        batch: The rows of the model's own source.
        workspace: Where the rows are staged.

    Raises:
        SourceError: If a joined source can't be read or lacks a column, or has a column of the rows.
    """
    first, last = _span(spec, batch, workspace)
    with opened_joins(spec, first, last, batch.kinds) as joiner:
        joined = restaged(spec, batch, joiner.join, workspace)
        return joined.model_copy(update={"notes": (*batch.notes, *joined.notes, *joiner.notes())})


def _span(spec: ModelSpec, batch: Batch, workspace: Workspace) -> tuple[datetime, datetime]:
    """Return the first and the last event of a batch."""
    import pyarrow.compute as pc

    staging, name = Staging(workspace, spec.name, batch.turn_id, batch.round), spec.columns.time
    ends = [pc.min_max(staging.read_part(number, [name])[name]).as_py() for number in range(len(batch.sizes))]
    first = min((end["min"] for end in ends if end["min"] is not None), default=batch.window.until)
    return first, max((end["max"] for end in ends if end["max"] is not None), default=batch.window.until)
