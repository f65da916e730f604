"""The sources of a model's data: one class per `kind`."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from everfit.blocks.extensions import ExtensionName
from everfit.blocks.policy import Duration, Policy

Secret = SecretStr
"""A secret, or its place: `env:NAME` for an environment variable, `block:NAME` for a Prefect Secret block."""


def _without_login(address: str) -> str:
    """Reject an address with a login in it: addresses are logged and kept with each model version."""
    try:
        login = "@" in urlsplit(address).netloc
    except ValueError:
        login = False  # not an address at all; the first request to it reports that
    if login:
        # An error type of its own, so that messages about it leave the value out.
        raise PydanticCustomError(
            "secret", "the address contains a login; remove it, and give a token or a block instead"
        )
    return address


Address = Annotated[str, AfterValidator(_without_login)]
"""An address without a user and password in it."""


class _Source(Policy):
    """Settings of every source."""

    lookback: Duration = Field(
        default=timedelta(days=30),
        description="The span before the newest ingested row that is read again, for late rows and late labels.",
    )
    time_format: str | None = Field(
        default=None,
        description="The format of times: numbers of seconds or a smaller unit since 1970 (`epoch_s`, `epoch_ms`, "
        "`epoch_us`, `epoch_ns`), days of a spreadsheet (`excel`), or a format of `strptime` such as `%d.%m.%Y %H:%M`. "
        "By default it is ISO 8601.",
    )
    label_time_format: str | None = Field(
        default=None, description="The format of the label time, if it differs from `time_format`; `iso` for ISO 8601."
    )


class FilesSource(_Source):
    """Files of a table: CSV, Parquet or JSON lines, also in gzip or zip; local, on S3 or on the web.

    Each file is read once, and again after it grew or changed. Folders such as `country=de` give columns. Names that
    begin with . or _ are passed over.
    """

    kind: Literal["files"] = Field(default="files", description="Files of a table.")
    path: Address = Field(
        min_length=1,
        description="A file, a folder, a glob such as `data/*.parquet` or `s3://bucket/flights/*.csv`, or an "
        "https address. A relative path starts at the folder in which flows run.",
    )
    format: Literal["csv", "parquet", "jsonl"] | None = Field(
        default=None, description="The format of the files. By default it follows from their names."
    )
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="The separator between the values of CSV. By default it follows from the header.",
    )
    encoding: str = Field(default="utf-8", description="The encoding of CSV and JSON lines.")
    null_values: tuple[str, ...] = Field(
        default=("NA", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "None", "nan", "NaN", "NAN", "-nan", "-", "?"),
        description="The texts that stand for a missing value in CSV, besides an empty field.",
    )
    credentials: str | None = Field(
        default=None,
        description="The name of a stored AwsCredentials block for `s3://`. By default the credentials come from "
        "the environment.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts that may be read by plain http, besides this machine."
    )
    max_bytes: int = Field(default=50 * 2**30, gt=0, description="The largest size of a file from the web, in bytes.")


class SqlSource(_Source):
    """A table or query of any database that SQLAlchemy supports."""

    kind: Literal["sql"] = Field(default="sql", description="A table or query of a database.")
    url: Secret = Field(description="The SQLAlchemy URL of the database, best as `env:NAME` or `block:NAME`.")
    table: str | None = Field(
        default=None,
        description="The table, as `schema.table` if needed. everfit selects the window by `columns.event_time`. "
        "Give either `table` or `query`.",
    )
    query: str | None = Field(
        default=None, description="A query, with `:since` and `:until` as the limits of the window."
    )
    chunk_rows: int = Field(default=50_000, gt=0, description="The number of rows that are fetched at a time.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("table and query exclude each other; give exactly one of them")
        return self


class CursorPaging(Policy):
    """Each page holds the cursor of the next page; the last page has none."""

    kind: Literal["cursor"] = Field(default="cursor", description="Pages with a cursor.")
    parameter: str = Field(default="cursor", description="The query parameter of the cursor.")
    path: str = Field(default="next", description="The place of the next cursor in the response, such as `meta.next`.")


class NumberPaging(Policy):
    """Pages have numbers; an empty page is the last one."""

    kind: Literal["page"] = Field(default="page", description="Pages with numbers.")
    parameter: str = Field(default="page", description="The query parameter of the page number.")
    first: int = Field(default=1, description="The number of the first page.")


class LinkPaging(Policy):
    """The `Link` header holds the address of the next page."""

    kind: Literal["link"] = Field(default="link", description="Pages with a `Link` header.")


Paging = Annotated[CursorPaging | NumberPaging | LinkPaging, Field(discriminator="kind")]


class HttpSource(_Source):
    """A JSON API."""

    kind: Literal["http"] = Field(default="http", description="A JSON API.")
    url: Address = Field(
        pattern=r"^https?://",
        description="The address of the API. It must be https, unless the host is this machine or one of "
        "`allowed_hosts`.",
    )
    parameters: dict[str, str] = Field(
        default_factory=dict,
        description="Query parameters. `{since}` and `{until}` in them become the limits of the window in ISO 8601.",
    )
    records: str | None = Field(
        default=None,
        description="The place of the list of rows in the response, such as `data.items`. By default the response"
        " is the list.",
    )
    token: Secret | None = Field(default=None, description="A bearer token, best as `env:NAME` or `block:NAME`.")
    paging: Paging | None = Field(
        default=None, description="The kind of paging. By default the API returns a single page."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts that may be read by plain http, besides this machine."
    )
    timeout: Duration = Field(default=timedelta(seconds=30), description="The longest duration of one request.")
    retries: int = Field(
        default=5, ge=0, description="The number of retries of a request after 429, 5xx or a broken connection."
    )
    max_bytes: int = Field(default=2**30, gt=0, description="The largest size of all pages together, in bytes.")
    max_time: Duration = Field(default=timedelta(hours=1), description="The longest duration of all requests together.")


class DeltaSource(_Source):
    """Another Delta table, local or on S3."""

    kind: Literal["delta"] = Field(default="delta", description="Another Delta table.")
    path: str = Field(min_length=1, description="The address of the table: a folder or `s3://bucket/prefix`.")
    version: int | None = Field(
        default=None, ge=0, description="The version of the table. By default it is the newest."
    )


class PythonSource(_Source):
    """A function that returns the rows of a window."""

    kind: Literal["python"] = Field(default="python", description="A function.")
    function: ExtensionName = Field(
        description="The function as `package.module:function`, or the name of an entry point in the group "
        "`everfit.sources`; installed where flows run. It takes `since` (None for all history) and "
        "`until`, and returns the rows of that window as a pandas frame or an iterator of frames.",
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
"""Any of the sources. Without a `kind` it is `files`."""
