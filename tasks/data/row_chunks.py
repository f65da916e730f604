"""Read the rows that models are fitted on in chunks of bounded memory, on any machine that reaches the workspace."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import kept_rows, label_is_visible, refuse_infinite
from everfit.tasks.data.split import TrainingData
from everfit.tasks.storage.tables import KEY

_DRAW = np.int64(0x7368617265)


def training_chunks(data: TrainingData, window: Window, part: int, parts: int) -> Iterator[pd.DataFrame]:
    """Read one of several equal parts of the rows that a model is fitted on, in no set order.

    The part of a row depends only on its key, so each part has rows of all times and classes. All parts together have
    the rows of `data.training_rows`, as long as those are not thinned.

    Args:
        data: Rows of the turn.
        window: Span of event time.
        part: Number of the part, from 0 on.
        parts: How many parts there are.
    """
    spec, time = data.spec, data.spec.columns.time
    for chunk in data.dataset.batches(window, time, data.columns, data.snapshot.version):
        mine = _part_of(chunk[KEY], parts) == part
        rows = chunk[mine & label_is_visible(chunk, spec, data.until)]
        rows = rows[~kept_rows(rows, spec)]
        refuse_infinite(rows, spec.name)
        if len(rows):
            yield rows


def _part_of(keys: pd.Series, parts: int) -> npt.NDArray[np.uint64]:
    return np.asarray(pd.util.hash_array(keys.to_numpy(dtype=np.int64) ^ _DRAW) % np.uint64(parts))
