"""A Delta table: appended once per transaction, read by window, at any version."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.records import Window

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds
    from deltalake import DeltaTable

KEY, CONTENT, DAY, TURN = "_key", "_content", "_day", "_turn"
"""Columns of everfit's own: hash of the key, hash of the whole row, the day partition, the turn that wrote it."""


def row_hashes(frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash each row over some columns, the same in every process; shape (rows,).

    Whole numbers hash alike whether they are stored as integers or floats, and times whatever their unit.
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in sorted(columns):
        # The column's name goes into the hash, so that equal values that trade columns don't cancel out.
        salt = pd.util.hash_array(np.array([name], dtype=object))[0]
        mixed = (_column_hashes(frame[name]) ^ salt) * np.uint64(0x9E3779B97F4A7C15)
        total += mixed ^ (mixed >> np.uint64(29))
    return total.view(np.int64)


def _column_hashes(column: pd.Series) -> npt.NDArray[np.uint64]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        values = column.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
    elif pd.api.types.is_float_dtype(column.dtype):
        floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
        whole = np.isfinite(floats) & (floats == np.floor(floats)) & (np.abs(floats) < 2.0**63)
        values = np.where(whole, np.where(whole, floats, 0).astype(np.int64), floats.view(np.int64))
        values[np.isnan(floats)] = np.iinfo(np.int64).min  # there are many bit patterns of NaN, and one missing value
    elif pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_integer_dtype(column.dtype):
        values = column.to_numpy(dtype=np.int64, na_value=np.iinfo(np.int64).min)
    else:
        texts = column.astype("object").map(str, na_action="ignore")
        return pd.util.hash_array(texts.where(texts.notna(), None).to_numpy())
    return pd.util.hash_array(values)


def row_keys(frame: pd.DataFrame, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash each row's key; without a key the whole row is its own. Shape (rows,)."""
    return row_hashes(frame, key or [name for name in frame.columns if not name.startswith("_")])


@dataclass(frozen=True)
class Table:
    """A Delta table under the workspace, partitioned by `_day`.

    Attributes:
        uri: Where it lies.
        storage_options: What is needed to reach the store; empty for a local folder.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def _open(self, version: int | None = None) -> "DeltaTable":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self.uri, version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError as error:
            raise WorkspaceError(f"there is no table at {self.uri!r}; has anything been ingested yet?") from error
        except DeltaError as error:
            raise WorkspaceError(f"the table at {self.uri!r} can't be read at version {version!r}: {error}") from error

    def exists(self) -> bool:
        """Whether anything was ever appended."""
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self.uri, storage_options=dict(self.storage_options))

    def version(self) -> int:
        """The newest version."""
        return int(self._open().version())

    def columns(self) -> dict[str, str]:
        """The columns and their types, as Arrow names them."""
        import pyarrow as pa

        return {item.name: str(item.type) for item in pa.schema(self._open().schema().to_arrow())}

    def append(self, frame: "pd.DataFrame | pa.Table", transaction: str) -> int:
        """Append rows once: the same transaction again adds nothing.

        Args:
            frame: The rows, with a `_day` column.
            transaction: Names this append for ever, such as a turn's id and step.

        Returns:
            The version of the table that has the rows.
        """
        import pyarrow as pa
        from deltalake import CommitProperties, Transaction, write_deltalake

        if self.exists():
            table = self._open()
            if table.transaction_version(transaction) is not None or len(frame) == 0:
                return int(table.version())
        rows = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        write_deltalake(
            self.uri,
            rows.replace_schema_metadata(None),
            mode="append",
            partition_by=[DAY],
            schema_mode="merge",
            storage_options=dict(self.storage_options),
            commit_properties=CommitProperties(app_transactions=[Transaction(transaction, 1)]),
        )
        return self.version()

    def supersede(self, frame: pd.DataFrame, transaction: str) -> int:
        """Put newer contents in the place of rows that have the same `_key` and `_day`; earlier versions keep the old.

        Returns:
            The version of the table that has the new contents.
        """
        import pyarrow as pa
        from deltalake import CommitProperties, Transaction

        table = self._open()
        if len(frame) == 0 or table.transaction_version(transaction) is not None:
            return int(table.version())
        days = ", ".join(f"'{day}'" for day in sorted(set(frame[DAY])))
        (
            table.merge(
                pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None),
                predicate=f"old.{DAY} = new.{DAY} AND old.{KEY} = new.{KEY} AND old.{DAY} IN ({days})",
                source_alias="new",
                target_alias="old",
                commit_properties=CommitProperties(app_transactions=[Transaction(transaction, 1)]),
            )
            .when_matched_update_all()
            .execute()
        )
        return self.version()

    def _dataset(
        self, window: Window | None, time_column: str | None, version: int | None
    ) -> "tuple[pds.Dataset, pds.Expression | None]":
        import pyarrow.dataset as pds

        condition: pds.Expression | None = None
        if window is not None:
            # The day prunes whole files, the time is exact.
            condition = pds.field(DAY) <= window.until.date()
            if window.since is not None:
                condition &= pds.field(DAY) >= window.since.date() - timedelta(days=1)
            if time_column is not None:
                condition &= pds.field(time_column) < pd.Timestamp(window.until)
                if window.since is not None:
                    condition &= pds.field(time_column) >= pd.Timestamp(window.since)
        return self._open(version).to_pyarrow_dataset(), condition

    def read(
        self,
        window: Window | None = None,
        time_column: str | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        """Read the rows of a window, in an order that is always the same.

        Args:
            window: By event time; all rows without it.
            time_column: The column that the window is of; needed with a window for more than whole days.
            columns: Those wanted; all without it.
            version: Of the table; the newest without it.

        Returns:
            The rows, in order of time and key.

        Raises:
            WorkspaceError: there is no such table or version.
        """
        dataset, condition = self._dataset(window, time_column, version)
        order = [name for name in (time_column, KEY) if name is not None and name in dataset.schema.names]
        wanted = None if columns is None else list(dict.fromkeys([*columns, *order]))
        table = dataset.to_table(columns=wanted, filter=condition)
        if order:
            table = table.sort_by([(name, "ascending") for name in order])
        frame: pd.DataFrame = table.to_pandas()
        return frame if columns is None else frame[list(columns)]

    def batches(
        self,
        window: Window | None = None,
        time_column: str | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        rows: int = 131_072,
    ) -> Iterator[pd.DataFrame]:
        """Read the rows of a window piece by piece, in no set order, in bounded memory."""
        dataset, condition = self._dataset(window, time_column, version)
        for batch in dataset.to_batches(
            columns=None if columns is None else list(columns), filter=condition, batch_size=rows
        ):
            if batch.num_rows:
                yield batch.to_pandas()
