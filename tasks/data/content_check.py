"""Check the rows of a table against the hash of its content that each row carries."""

import numpy as np

from everfit.tasks.storage.row_hashes import row_hashes
from everfit.tasks.storage.tables import CONTENT, KEY, Table

_SHOWN = 3


def check_contents(table: Table) -> list[str]:
    """Return one sentence if rows of the dataset are not as they were ingested; otherwise nothing.

    Args:
        table: The dataset.
    """
    if not table.exists():
        return []
    changed: list[int] = []
    for frame in table.batches():
        values = [name for name in frame.columns if not name.startswith("_")]
        differs = row_hashes(frame, values) != frame[CONTENT].to_numpy(dtype=np.int64)
        changed += frame.loc[differs, KEY].tolist()
    if not changed:
        return []
    keys = ", ".join(map(str, changed[:_SHOWN])) + (", …" if len(changed) > _SHOWN else "")
    return [f"{len(changed):,} rows of {table.uri!r} have another content than was ingested, with `{KEY}` {keys}"]
