"""Where a model's data comes from: one class a kind, told apart by `kind`."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from everfit.blocks.extensions import ExtensionName
from everfit.blocks.policy import Duration, Policy

Secret = SecretStr
"""A secret, or where it is: `env:NAME` for an environment variable, `block:NAME` for a Prefect Secret block."""


def _without_login(address: str) -> str:
    """Refuse an address with a login in it: addresses are logged, and kept with what was trained."""
    try:
        login = "@" in urlsplit(address).netloc
    except ValueError:
        login = False  # no address at all, which whoever asks it will find
    if login:
        # Of a kind of its own, so that whoever tells of it leaves the value out.
        raise PydanticCustomError("secret", "there is a login in the address; take it out, and give a token or a block")
    return address


Address = Annotated[str, AfterValidator(_without_login)]
"""Where something is; never with a user and password in it."""


class _Source(Policy):
    """What all sources have."""

    lookback: Duration = Field(
        default=timedelta(days=30),
        description="How far before the newest row already taken a window is read again, for rows that came late and "
        "labels that were not known then.",
    )
    time_format: str | None = Field(
        default=None,
        description="How times are written: `epoch_s`, `epoch_ms`, or a format of `strptime` such as `%d.%m.%Y "
        "%H:%M`; by default ISO 8601.",
    )


class FilesSource(_Source):
    """Files of a table: CSV, Parquet or JSON lines, gzipped or not; local, on S3 or on the web.

    A file is read once; one that grew or changed is read again.
    """

    kind: Literal["files"] = Field(default="files", description="Files of a table.")
    path: Address = Field(
        min_length=1,
        description="A file, a folder, or a glob such as `data/*.parquet` or `s3://bucket/flights/*.csv`; or an https "
        "address. A relative path counts from the folder in which flows run.",
    )
    format: Literal["csv", "parquet", "jsonl"] | None = Field(
        default=None, description="The files' format; by default it is told from their names."
    )
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="What stands between the values of CSV; by default the one that the header shows.",
    )
    encoding: str = Field(default="utf-8", description="The encoding of CSV and JSON lines.")
    null_values: tuple[str, ...] = Field(
        default=("NA", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "None", "nan", "NaN", "NAN", "-nan", "-", "?"),
        description="What stands for a missing value in CSV, beside nothing at all.",
    )
    credentials: str | None = Field(
        default=None,
        description="The name of a stored AwsCredentials block for `s3://`; by default the environment tells.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts that may be read by plain http, beside this machine."
    )
    max_bytes: int = Field(
        default=50 * 2**30, gt=0, description="The largest file, in bytes, that is fetched from the web."
    )


class SqlSource(_Source):
    """A table or query of any database that SQLAlchemy reaches."""

    kind: Literal["sql"] = Field(default="sql", description="A table or query of a database.")
    url: Secret = Field(description="The database's SQLAlchemy URL, best as `env:NAME` or `block:NAME`.")
    table: str | None = Field(
        default=None,
        description="The table, as `schema.table` if needed; the window is asked for by `columns.event_time`. Give this"
        " or `query`.",
    )
    query: str | None = Field(default=None, description="A query, with `:since` and `:until` where it cuts the window.")
    chunk_rows: int = Field(default=50_000, gt=0, description="How many rows are fetched at a time.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        return self


class CursorPaging(Policy):
    """Each page tells the cursor of the next; none ends it."""

    kind: Literal["cursor"] = Field(default="cursor", description="Pages that tell the cursor of the next.")
    parameter: str = Field(default="cursor", description="The query parameter that takes the cursor.")
    path: str = Field(default="next", description="Where the answer holds the next cursor, such as `meta.next`.")


class NumberPaging(Policy):
    """Pages have numbers; an empty one ends it."""

    kind: Literal["page"] = Field(default="page", description="Pages that have numbers.")
    parameter: str = Field(default="page", description="The query parameter that takes the number.")
    first: int = Field(default=1, description="The number of the first page.")


class LinkPaging(Policy):
    """The `Link` header tells the address of the next page."""

    kind: Literal["link"] = Field(default="link", description="Pages whose `Link` header tells the next.")


Paging = Annotated[CursorPaging | NumberPaging | LinkPaging, Field(discriminator="kind")]


class HttpSource(_Source):
    """A JSON API."""

    kind: Literal["http"] = Field(default="http", description="A JSON API.")
    url: Address = Field(
        pattern=r"^https?://",
        description="The API's address; https, unless the host is this machine or one of `allowed_hosts`.",
    )
    parameters: dict[str, str] = Field(
        default_factory=dict,
        description="Query parameters; `{since}` and `{until}` in them become the window's ends in ISO 8601.",
    )
    records: str | None = Field(
        default=None,
        description="Where the answer holds the list of rows, such as `data.items`; by default the answer is the list.",
    )
    token: Secret | None = Field(default=None, description="A bearer token, best as `env:NAME` or `block:NAME`.")
    paging: Paging | None = Field(default=None, description="How pages follow each other; by default there is one.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts that may be read by plain http, beside this machine."
    )
    timeout: Duration = Field(default=timedelta(seconds=30), description="How long one request may take.")
    retries: int = Field(
        default=5, ge=0, description="How often a request is sent again after 429, 5xx or a broken connection."
    )
    max_bytes: int = Field(default=2**30, gt=0, description="How many bytes all pages together may have.")
    max_time: Duration = Field(default=timedelta(hours=1), description="How long all pages together may take.")


class DeltaSource(_Source):
    """Another Delta table, local or on S3."""

    kind: Literal["delta"] = Field(default="delta", description="Another Delta table.")
    path: str = Field(min_length=1, description="Where the table lies: a folder or `s3://bucket/prefix`.")
    version: int | None = Field(default=None, ge=0, description="The table's version; by default the newest.")


class PythonSource(_Source):
    """A function that gives the rows of a window."""

    kind: Literal["python"] = Field(default="python", description="A function.")
    function: ExtensionName = Field(
        description="`package.module:function`, or the name of an entry point in the group `everfit.sources`; "
        "installed where flows run. It is called with `since` (None for all history) and `until`, and returns the "
        "rows of that window: a pandas frame, or an iterator of frames.",
    )


def _files_by_default(value: Any) -> Any:
    return {"kind": "files", **value} if isinstance(value, dict) and "kind" not in value else value


Source = Annotated[
    Annotated[
        FilesSource | SqlSource | HttpSource | DeltaSource | PythonSource,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_files_by_default),
]
"""Any of the sources; without a `kind` it is `files`."""
