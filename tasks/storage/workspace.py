"""The workspace: a model's tables, and the files of its turns."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from everfit.blocks.errors import WorkspaceError
from everfit.blocks.settings import Settings
from everfit.tasks.storage.durable import make_folder, sync_folder
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace_format import bring_up_to_date

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TableName = Literal["dataset", "quarantine", "predictions", "labels"]

# The AWS variables under deltalake's names; deltalake reads the other ones from the environment.
_STORAGE_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
)


def storage_options(uri: str) -> dict[str, str]:
    """Return deltalake's options to reach a table: the AWS variables, and permission for HTTP if they ask for it."""
    if not uri.startswith("s3://"):
        return {}
    options = {name: os.environ[name] for name in _STORAGE_VARIABLES if name in os.environ}
    if options.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    return options


_CHECKED: set[str] = set()


def check_store(uri: str) -> None:
    """Refuse a store without conditional puts, in which two writers would overwrite each other's commits.

    Args:
        uri: `s3://bucket/prefix`; one small object is put there twice and then deleted.

    Raises:
        WorkspaceError: If the store can't be reached or written to, or it accepts the second put.
    """
    import uuid

    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    key = "/".join(filter(None, [prefix, f".everfit-check-{uuid.uuid4().hex}"]))
    try:
        # Use a new session: the default one caches the first credentials.
        client = boto3.Session().client(
            "s3", config=Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 3})
        )
        client.put_object(Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*")
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") not in {409, 412}:
                raise
        else:
            raise WorkspaceError(
                f"the store of {uri!r} does not honour conditional puts (If-None-Match): two writers would overwrite "
                f"each other's rows; use a store that does, such as Amazon S3, SeaweedFS, MinIO or Ceph"
            )
        finally:
            client.delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise WorkspaceError(
            f"workspace {uri!r} can't be used: {error}; check the bucket, AWS_ENDPOINT_URL and the credentials"
        ) from error


class Workspace:
    """A folder or a bucket's prefix that holds all of everfit's files.

    Args:
        uri: A local folder, or `s3://bucket/prefix`.

    Raises:
        WorkspaceError: If the scheme is neither a local path nor `s3://`.
    """

    def __init__(self, uri: str) -> None:
        scheme, separator, _ = uri.partition("://")
        if separator and scheme not in {"s3", "file"}:
            raise WorkspaceError(f"workspace {uri!r}: {scheme!r} is not supported; use a folder or s3://bucket/prefix")
        self.remote = scheme == "s3" and bool(separator)
        self.uri = uri.rstrip("/") if self.remote else os.path.abspath(uri.removeprefix("file://"))  # noqa: PTH100

    @classmethod
    def of(cls, settings: Settings) -> "Workspace":
        """Return the workspace that the settings name, in today's format.

        Raises:
            WorkspaceError: If the store can't keep tables safely, or a newer everfit made the workspace.
        """
        workspace = cls(settings.workspace)
        if workspace.remote and workspace.uri not in _CHECKED:
            check_store(workspace.uri)
            bring_up_to_date(workspace)
            _CHECKED.add(workspace.uri)
        elif not workspace.remote:
            bring_up_to_date(workspace)
        return workspace

    @property
    def storage_options(self) -> dict[str, str]:
        """Return deltalake's options to reach the store."""
        return storage_options(self.uri)

    def table(self, model: str, name: TableName) -> Table:
        """Return one of the model's four Delta tables."""
        return Table(f"{self.uri}/{model}/{name}", self.storage_options, historic=name == "dataset")

    def file(self, *parts: str) -> str:
        """Return the address of a file of the workspace."""
        return "/".join([self.uri, *parts])

    def turn_file(self, model: str, turn_id: str, name: str) -> str:
        """Return the address of a file of a turn."""
        return self.file(model, "turns", turn_id, name)

    @property
    def filesystem(self) -> "AbstractFileSystem":
        """Return the file system of the workspace."""
        import fsspec

        # Don't cache listings: files that another process has written must be visible.
        return fsspec.filesystem("s3", use_listings_cache=False) if self.remote else fsspec.filesystem("file")

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        return bool(self.filesystem.exists(path))

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            WorkspaceError: If the file doesn't exist.
        """
        try:
            return bytes(self.filesystem.cat_file(path))
        except FileNotFoundError as error:
            raise WorkspaceError(f"{path!r} is missing from the workspace; run the turn again") from error

    def write(self, path: str, content: bytes) -> None:
        """Write a file as a whole or not at all."""
        with self.writing(path) as stream:
            stream.write(content)

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        if self.remote:
            with suppress(FileNotFoundError):
                self.filesystem.rm_file(path)
        else:
            Path(path).unlink(missing_ok=True)

    def delete_folder(self, path: str) -> None:
        """Delete a folder with all that is in it; one that is gone already is no error."""
        if self.exists(path):
            self.filesystem.rm(path, recursive=True)

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Yield a stream to a file, which appears when all of it is on the disk, or not at all."""
        if self.remote:
            content = io.BytesIO()
            yield content
            self.filesystem.pipe_file(path, content.getvalue())  # an S3 put is atomic
            return
        make_folder(Path(path).parent)
        unfinished = f"{path}.{os.getpid()}.{threading.get_ident()}.tmp"
        with open(unfinished, "wb") as stream:  # noqa: PTH123
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)  # noqa: PTH105
        sync_folder(Path(path).parent)
