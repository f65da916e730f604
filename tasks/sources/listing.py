"""List the files of a source with their identities, without reading them."""

import re
from typing import Any

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.tasks.sources import file_systems, source_files
from everfit.tasks.sources.file_names import has_pattern, is_hidden


def list_files(source: FilesSource) -> dict[str, str]:
    """Return the identity of each file of a source, by path: its size with its modification time or tag.

    An empty folder is no error here, because its files may come later.

    Raises:
        SourceError: If the files can't be listed, or the source is a web address.
    """
    if source.path.startswith(("http://", "https://")):
        raise SourceError(
            f"source.path {source.path!r}: a file on the web can't be watched without downloading it; send the event "
            f"everfit.data.arrived when it changes"
        )
    if source.path.startswith("s3://"):
        return _on_s3(source)
    return {
        file.origin: file.identity
        for file in source_files.listed_files(file_systems.filesystem_of(source), source, required=False)
    }


def _on_s3(source: FilesSource) -> dict[str, str]:
    """List with boto3: it needs one request per thousand files, and fsspec one per file."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from fsspec.utils import glob_translate

    bucket, _, key = source.path.removeprefix("s3://").partition("/")
    options: dict[str, Any] = file_systems.s3_options(source.credentials)
    session = boto3.Session(
        aws_access_key_id=options.get("key"),
        aws_secret_access_key=options.get("secret"),
        aws_session_token=options.get("token"),
        **options.get("client_kwargs", {}),
    )
    prefix = re.split(r"[*?\[]", key, maxsplit=1)[0]
    pattern = re.compile(glob_translate(key)) if has_pattern(key) else None
    listed: dict[str, str] = {}
    try:
        client = session.client(
            "s3", endpoint_url=options.get("endpoint_url"), config=Config(connect_timeout=10, read_timeout=30)
        )
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                name = str(item["Key"])
                inside = name == key or name.startswith(f"{key.rstrip('/')}/") or not key
                if is_hidden(f"{bucket}/{name}", f"{bucket}/{key}"):
                    continue
                if (pattern.match(name) if pattern else inside) and source_files.is_readable(name, source):
                    # Write the identity as s3fs does, because a turn records the files that it has read that way.
                    listed[f"{bucket}/{name}"] = f"{item['Size']}:{item['ETag']}"
    except (BotoCoreError, ClientError, ValueError) as error:
        raise SourceError(
            f"source.path {source.path!r} can't be listed: {error}; check the address and the credentials"
        ) from error
    return listed
