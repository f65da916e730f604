"""Find labels on record under a key of another type than their prediction's, and repair their keys.

Earlier versions of everfit read the keys of labels by the types of their file alone. So `1000` as a number and `1000`
as text were two keys, and such a label never found its prediction.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.storage.values import to_kind
from everfit.tasks.turns.context import Context

_WRONG = "_wrong"


def repair_label_keys(context: Context) -> int:
    """Give labels the key of the prediction that has the same key in another type.

    Args:
        context: The model.

    Returns:
        Number of repaired keys.
    """
    import pyarrow as pa

    spec, workspace = context.spec, context.workspace
    recorded, predicted = workspace.table(spec.name, "labels"), workspace.table(spec.name, "predictions")
    if not spec.columns.key or not recorded.exists() or not predicted.exists():
        return 0
    given = [frame[KEY].to_numpy(dtype=np.int64) for frame in recorded.batches(columns=[KEY])]
    there = [frame[KEY].to_numpy(dtype=np.int64) for frame in predicted.batches(columns=[KEY])]
    if not given or not there:
        return 0
    unmatched = np.setdiff1d(np.concatenate(given), np.concatenate(there))
    right: dict[int, int] = {}
    columns = [name for name in spec.columns.key if name in predicted.columns()]
    if not len(unmatched) or len(columns) < len(spec.columns.key):
        return 0
    for frame in predicted.batches(columns=[KEY, *columns]):
        keys = frame[KEY].to_numpy(dtype=np.int64)
        for other in keys_in_other_types(frame.drop(columns=KEY), columns):
            hit = np.isin(other, unmatched)
            right.update(zip(other[hit].tolist(), keys[hit].tolist(), strict=True))
    if not right:
        return 0
    rows = pa.table({_WRONG: pa.array(list(right), pa.int64()), KEY: pa.array(list(right.values()), pa.int64())})
    digest = hashlib.sha256(np.sort(np.array(list(right), dtype=np.int64)).tobytes()).hexdigest()[:16]
    recorded.update_matched(rows, f"old.{KEY} = new.{_WRONG}", [KEY], f"label-keys/{recorded.version()}/{digest}")
    return len(right)


def keys_in_other_types(frame: pd.DataFrame, key: Sequence[str]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the keys that the same values have as texts, as numbers, and in every mixture of both.

    Args:
        frame: The values of the key's columns; shape (rows, columns).
        key: Names of these columns.
    """
    variants = []
    for name in key:
        text, (number, bad) = to_kind(frame[name], "text")[0], to_kind(frame[name], "decimal")
        variants.append([frame[name], text, number.where(~bad)])
    for chosen in itertools.product(*variants):
        values = pd.DataFrame(dict(zip(key, chosen, strict=True)))
        keys = row_keys(values, key)
        keys[values.isna().any(axis=1).to_numpy()] = 0  # an incomplete key has no hash of its own
        yield keys
