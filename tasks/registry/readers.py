"""Read what a service follows in the registry: the versions of aliases, with their tags.

MLflow's client takes a second to import and holds a hundred megabytes, and a service asks it for little, for as long as
it runs. So an MLflow server is asked by its REST interface, and an MLflow in a SQLite file by SQL. Where that isn't
known to give what the client gives, such as with a plugin for logins, the client is asked.
"""

import base64
import importlib.metadata
import os
import sqlite3
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.mlflow_client import SQLITE, use_tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TIMEOUT_S = 5.0
_DELETED = "Deleted_Internal"
"""Stage of a version that MLflow's SQL store has deleted."""

_OWN_WAYS = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
    "MLFLOW_ENABLE_WORKSPACES",
    "MLFLOW_REGISTRY_URI",
)
"""Variables that let MLflow's client ask in ways that are not known here."""


class UnfitReaderError(Exception):
    """The registry is not of the form that a reader knows."""


@dataclass(frozen=True)
class Registered:
    """A registered version with its tags."""

    version: ModelVersion
    tags: Mapping[str, str] = field(default_factory=dict)


class RegistryReader(Protocol):
    """Reads a registry."""

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None.

        Raises:
            ModelError: The registry doesn't answer.
        """

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`.

        Raises:
            ModelError: The registry doesn't answer.
        """


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


class SqliteReader:
    """Reads MLflow's tables in a SQLite file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None."""
        query = (
            "SELECT v.version, v.run_id, v.creation_time FROM registered_model_aliases a "
            "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
            "WHERE a.name = ? AND a.alias = ? AND v.current_stage IS NOT ?"
        )
        with self._opened() as connection:
            found = self._rows(connection, query, (model, alias, _DELETED))
            if not found:
                return None
            ((number, run, created),) = found
            tags = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
            return _registered(model, number, run, created, dict(self._rows(connection, tags, (model, number))))

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`."""
        with self._opened() as connection:
            names = self._rows(connection, "SELECT name FROM registered_models LIMIT ?", (most + 1,))
            if len(names) > most:
                return None
            found: dict[str, dict[str, int]] = {name: {} for (name,) in names}
            for name, alias, number in self._rows(
                connection, "SELECT name, alias, version FROM registered_model_aliases", ()
            ):
                found.setdefault(name, {})[alias] = int(number)
            return found

    def _opened(self) -> "closing[sqlite3.Connection]":
        if not self._path.is_file():
            raise UnfitReaderError(f"{str(self._path)!r} does not exist yet, and MLflow's client makes it")
        try:
            return closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S))
        except sqlite3.Error as error:
            raise ModelError(f"MLflow's database {str(self._path)!r} can't be read: {error}") from error

    def _rows(self, connection: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if str(error).startswith("no such"):  # table or column: another version of MLflow
                raise UnfitReaderError(str(error)) from error
            raise ModelError(f"MLflow's database {str(self._path)!r} can't be read: {error}") from error
        except sqlite3.Error as error:
            raise ModelError(f"MLflow's database {str(self._path)!r} can't be read: {error}") from error


class RestReader:
    """Reads an MLflow server by its REST interface, over one connection.

    Args:
        url: Address of the server.
    """

    def __init__(self, url: str) -> None:
        import httpx  # a service whose registry is a file needs none

        self._url = url
        verify = _tls() if url.startswith("https:") else False
        address = f"{url.rstrip('/')}/api/2.0/mlflow"
        self._client = httpx.Client(base_url=address, timeout=_TIMEOUT_S, verify=verify, trust_env=False)

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None."""
        found = self._get("registered-models/alias", name=model, alias=alias)
        if found is None:
            return None
        one = found["model_version"]
        tags = {tag["key"]: tag.get("value", "") for tag in one.get("tags", ())}
        return _registered(one["name"], one["version"], one.get("run_id"), one["creation_timestamp"], tags)

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`."""
        found = self._get("registered-models/search", max_results=most) or {}
        if found.get("next_page_token"):
            return None
        return {
            one["name"]: {alias["alias"]: int(alias["version"]) for alias in one.get("aliases", ())}
            for one in found.get("registered_models", ())
        }

    def close(self) -> None:
        """Close the connection, and ask no more."""
        self._client.close()

    def _get(self, what: str, **query: str | int) -> Any:
        """Return the content of an answer; None if there is no such thing."""
        import httpx

        try:
            answer = self._client.get(what, params=query, headers=_headers())
        except httpx.HTTPError as error:
            raise ModelError(f"MLflow at {self._url} does not answer: {str(error) or type(error).__name__}") from error
        status = answer.status_code
        try:
            content = answer.json()
        except ValueError as error:
            raise ModelError(f"MLflow at {self._url} answers with HTTP status {status} and no JSON") from error
        if status == 200:
            return content
        code, message = (content.get(name, "") if isinstance(content, dict) else "" for name in _ERROR)
        if code in model_registry.ABSENT:
            return None
        raise ModelError(f"MLflow at {self._url} answers with HTTP status {status}: {message or code}")


_ERROR = ("error_code", "message")


def _headers() -> dict[str, str]:
    """Return the login that the environment names, as MLflow's client does: a name before a token."""
    name, password = (os.environ.get(f"MLFLOW_TRACKING_{part}") for part in ("USERNAME", "PASSWORD"))
    if name and password:
        return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls() -> ssl.SSLContext:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    names = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    given = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if given is None:
        import certifi  # as MLflow's client

        given = certifi.where()
    return (
        ssl.create_default_context(capath=given) if Path(given).is_dir() else ssl.create_default_context(cafile=given)
    )


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


def _registered(model: str, number: object, run: str | None, created: object, tags: Mapping[str, str]) -> Registered:
    version = model_registry.version_of(model, int(str(number)), run or "", int(str(created)), tags)
    return Registered(version, tags)
