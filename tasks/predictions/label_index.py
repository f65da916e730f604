"""Find the labels of a few keys without reading the whole table."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.storage.tables import KEY, Table

if TYPE_CHECKING:
    import pyarrow.dataset as pds

_MOST_KEYS = 10_000_000
"""This many keys are remembered, in eight bytes each. Files beyond that are read each time."""


class LabelIndex:
    """The keys in each file of a table, read once: Delta never changes a file.

    A process that records labels again and again keeps one, and then reads only what was written since.
    """

    def __init__(self) -> None:
        """Begin without any file."""
        self._lock = threading.Lock()
        self._keys: dict[str, npt.NDArray[np.int64]] = {}
        self._count = 0

    def find(self, table: Table, version: int, keys: npt.NDArray[np.int64], columns: Sequence[str]) -> pd.DataFrame:
        """Return the rows of some keys.

        Args:
            table: The labels.
            version: Version of the table.
            keys: Hashes of keys; shape (keys,).
            columns: Columns to return; those that the table lacks are omitted.
        """
        import pyarrow as pa
        import pyarrow.dataset as pds

        wanted = pd.Index(pd.unique(keys))
        opened = table.dataset(version)
        names = [name for name in columns if name in opened.schema.names]
        fragments = {fragment.path: fragment for fragment in opened.get_fragments()}
        with self._lock:
            self._keys = {path: held for path, held in self._keys.items() if path in fragments}
            self._count = sum(map(len, self._keys.values()))
            with_keys = [
                fragment
                for path, fragment in fragments.items()
                if (wanted.get_indexer(pd.Index(self._keys_of(path, fragment))) >= 0).any()
            ]
        tables = [
            fragment.to_table(schema=opened.schema, columns=names, filter=pds.field(KEY).isin(pa.array(wanted)))
            for fragment in with_keys
        ]
        rows: pd.DataFrame = pa.concat_tables(tables or [opened.schema.empty_table().select(names)]).to_pandas()
        return rows

    def _keys_of(self, path: str, fragment: "pds.Fragment") -> npt.NDArray[np.int64]:
        known = self._keys.get(path)
        if known is None:
            known = fragment.to_table(columns=[KEY])[KEY].to_numpy()
            if self._count + len(known) <= _MOST_KEYS:
                self._keys[path] = known
                self._count += len(known)
        return known
