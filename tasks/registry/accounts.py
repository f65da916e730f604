"""The user who is logged in to MLflow, if MLflow confirms it."""

import os
from pathlib import Path

from everfit.blocks.settings import Settings
from everfit.tasks.core.people import Person
from everfit.tasks.registry.mlflow_client import use_tracking

_TIMEOUT = 30.0
"""Seconds; a person who is logged in must not pass for a stated name because the server is busy."""


def acting_person(settings: Settings, name: str) -> Person:
    """Return a person by a stated name, with the MLflow user whose login this process has.

    Args:
        settings: The settings of the process.
        name: The name as it was given.
    """
    return Person(name=name, account=mlflow_account(settings))


def mlflow_account(settings: Settings) -> str:
    """Return the user whose login this process has, if MLflow confirms it; otherwise an empty text.

    MLflow shows a user only to this user and to administrators, so a wrong password or a server without logins
    confirms nobody.
    """
    uri, (user, password) = use_tracking(settings), _login()
    if not user or not uri.startswith(("http://", "https://")):
        return ""
    import httpx

    try:
        answer = httpx.get(
            f"{uri.rstrip('/')}/api/2.0/mlflow/users/get",
            params={"username": user},
            auth=(user, password),
            timeout=_TIMEOUT,
        )
        content = answer.json() if answer.status_code == httpx.codes.OK else {}
    except (httpx.HTTPError, ValueError):
        return ""
    known = content.get("user", {}).get("username") if isinstance(content, dict) else None
    return user if known == user else ""


def _login() -> tuple[str, str]:
    """Return user and password as MLflow's client finds them: in the environment, or in `~/.mlflow/credentials`."""
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME", ""):
        return user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if not Path("~/.mlflow/credentials").expanduser().is_file():
        return "", ""
    from mlflow.utils.credentials import read_mlflow_creds

    found = read_mlflow_creds()
    return found.username or "", found.password or ""
