"""Read what a service follows in the registry: the versions of aliases, with their tags.

MLflow's client takes a second to import and holds a hundred megabytes, and a service asks it for little, for as long as
it runs. So an MLflow server is asked by its REST interface, and an MLflow in a SQLite file by SQL. Where that isn't
known to give what the client gives, such as with a plugin for logins, the client is asked.
"""

import contextlib
import importlib.metadata
import os
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.local_copy import LocalFiles
from everfit.tasks.registry.mlflow_client import SQLITE, use_tracking
from everfit.tasks.registry.registered import Registered, RegistryReader, UnfitReaderError
from everfit.tasks.registry.rest_reader import RestReader
from everfit.tasks.registry.sqlite_reader import SqliteReader

if TYPE_CHECKING:
    from mlflow import MlflowClient


_OWN_WAYS = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
    "MLFLOW_ENABLE_WORKSPACES",
    "MLFLOW_REGISTRY_URI",
)
"""Variables that let MLflow's client ask in ways that are not known here."""


class MlflowReader:
    """Reads by MLflow's client.

    Args:
        registered: Function that returns the client.
    """

    def __init__(self, registered: "Callable[[], MlflowClient]") -> None:
        self._registered = registered

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None."""
        found = model_registry.by_alias_with_tags(self._registered(), model, alias)
        return None if found is None else Registered(*found)

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`."""
        return model_registry.all_aliases(self._registered(), most)

    def local_files(self, _: ModelVersion) -> None:
        """Leave it to MLflow to find them."""


class LightReader:
    """Reads by a reader that needs no MLflow, or by MLflow's client once that reader doesn't fit the registry.

    Args:
        light: The reader that needs no MLflow.
        own: The reader that does.
    """

    def __init__(self, light: RegistryReader, own: RegistryReader) -> None:
        self._light, self._own, self._fits = light, own, True

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None."""
        if self._fits:
            try:
                return self._light.by_alias(model, alias)
            except (UnfitReaderError, KeyError, TypeError):
                self._fits = False
        return self._own.by_alias(model, alias)

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`."""
        if self._fits:
            try:
                return self._light.all_aliases(most)
            except (UnfitReaderError, KeyError, TypeError):
                self._fits = False
        return self._own.all_aliases(most)

    def local_files(self, version: ModelVersion) -> LocalFiles | None:
        """Return where the files of a version are, if they are on this machine."""
        if self._fits:
            with contextlib.suppress(UnfitReaderError):
                return self._light.local_files(version)
        return None


def reader_of(settings: Settings, registered: "Callable[[], MlflowClient]") -> RegistryReader:
    """Return the reader of the registry that the settings name.

    Args:
        settings: Settings of this installation.
        registered: Function that returns MLflow's client.
    """
    own = MlflowReader(registered)
    uri = use_tracking(settings)
    if any(os.environ.get(name) for name in _OWN_WAYS):
        return own
    if uri.startswith(SQLITE) and "?" not in uri:
        return LightReader(SqliteReader(Path(uri.removeprefix(SQLITE))), own)
    if uri.startswith(("http://", "https://")) and _is_asked_plainly(uri):
        return LightReader(RestReader(uri), own)
    return own


def _is_asked_plainly(uri: str) -> bool:
    """Return whether MLflow's client would ask this server without a proxy, a file of logins, or a plugin."""
    parts = urlsplit(uri)
    proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname or "")
    credentials = Path(os.environ.get("MLFLOW_CREDENTIALS_FILE") or "~/.mlflow/credentials").expanduser().exists()
    plugins = importlib.metadata.entry_points(group="mlflow.request_header_provider")
    return not (proxied or credentials or plugins or parts.username)
