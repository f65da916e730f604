"""The files of joined rows that don't fit in memory."""

import tempfile
from pathlib import Path

import pandas as pd


def store_rows(path: Path, frame: pd.DataFrame) -> None:
    """Write rows to a file; shape (rows, columns), with any index, which is left out."""
    import pyarrow as pa

    table: pa.Table = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)


def stored_rows(path: Path) -> pd.DataFrame:
    """Return the rows of a file."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        frame: pd.DataFrame = pa.ipc.open_file(source).read_all().to_pandas(use_threads=False)
    return frame


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder for the files of a join, which is deleted when it is closed."""
    return tempfile.TemporaryDirectory(prefix="everfit-join-")
