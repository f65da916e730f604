"""Read the registry of an MLflow server by its REST interface."""

import base64
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.registered import Registered, registered_of

_TIMEOUT_S = 5.0


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
        return registered_of(one["name"], one["version"], one.get("run_id"), one["creation_timestamp"], tags)

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`."""
        found = self._get("registered-models/search", max_results=most) or {}
        if found.get("next_page_token"):
            return None
        return {
            one["name"]: {alias["alias"]: int(alias["version"]) for alias in one.get("aliases", ())}
            for one in found.get("registered_models", ())
        }

    def local_files(self, _: ModelVersion) -> None:
        """Leave it to MLflow to download them."""

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
