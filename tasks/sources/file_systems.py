"""The file system of a source's path, with the credentials that the source names."""

from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def filesystem_of(source: FilesSource) -> "AbstractFileSystem":
    """Return the file system of the path, with the credentials that the source names.

    Raises:
        SourceError: If the block doesn't exist, or the path's scheme is unknown.
    """
    import fsspec

    scheme, separator, _ = source.path.partition("://")
    if separator and scheme not in {"file", "s3"}:
        raise SourceError(f"source.path {source.path!r}: {scheme!r} is not supported; use a path, s3:// or https://")
    options = s3_options(source.credentials) if scheme == "s3" and separator else {}
    return fsspec.core.url_to_fs(source.path, **options)[0]


def s3_options(block: str | None) -> dict[str, Any]:
    """Return the options for s3fs: the credentials of a stored block, or else those of the environment.

    Raises:
        SourceError: If the block doesn't exist.
    """
    # Don't cache listings: a new file must be visible.
    options: dict[str, Any] = {"use_listings_cache": False, "config_kwargs": {"connect_timeout": 10}}
    if block is None:
        return options
    from prefect_aws import AwsCredentials

    try:
        credentials: Any = AwsCredentials.load(block)
    except ValueError as error:
        raise SourceError(
            f"source.credentials: there is no AwsCredentials block {block!r}; create it in Prefect"
        ) from error
    secret, client = credentials.aws_secret_access_key, credentials.aws_client_parameters
    return options | {
        "key": credentials.aws_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "token": credentials.aws_session_token,
        "client_kwargs": {"region_name": credentials.region_name},
        "endpoint_url": getattr(client, "endpoint_url", None),
    }
