"""Where a model's data comes from: one class a kind, told apart by `kind`."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from everfit.blocks.policy import Duration, Policy


class FilesSource(Policy):
    """Files of a table: CSV or Parquet, local or on S3.

    Attributes:
        kind: `files`.
        path: A file, a folder, or a glob such as `data/*.parquet` or `s3://bucket/flights/*.csv`.
        format: The files' format; by default it is told from their names.
        lookback: How far before the newest row already taken a window is read again for rows that came late
            and labels that were not known then.
    """

    kind: Literal["files"] = "files"
    path: str = Field(min_length=1, description="A file, a folder or a glob; local or s3://.")
    format: Literal["csv", "parquet"] | None = Field(default=None, description="By default told from the names.")
    lookback: Duration = Field(
        default=timedelta(days=30),
        description="How far before the newest row taken is read again, for late rows and late labels.",
    )


Source = FilesSource
