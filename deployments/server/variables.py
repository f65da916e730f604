"""Variables of a Prefect server, in which bootstraps remember what they made."""

import json
from typing import TYPE_CHECKING, Any

from everfit.deployments.server.changes import Changes

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def read_table(client: "SyncPrefectClient", name: str) -> dict[str, Any]:
    """Return a table that is kept in variables.

    Args:
        client: The client of the server.
        name: The name of the first variable; further parts have it with `_2`, `_3` and so on.
    """
    return {key: value for part in _parts(client, name) for key, value in part.items()}


def write_table(
    client: "SyncPrefectClient", name: str, before: dict[str, Any], after: dict[str, Any], changes: Changes
) -> None:
    """Keep a table in as many variables as it needs, because Prefect takes 5,000 characters in each.

    Args:
        client: The client of the server.
        name: The name of the first variable.
        before: The table as it was read.
        after: The table to keep.
        changes: The changes so far; this function adds its own.
    """
    stored = _parts(client, name)
    if stored and before == after:
        changes.note("variable", name, "unchanged")
        return
    parts = _split(after)
    if not changes.dry_run:
        for number, part in enumerate(parts):
            if number >= len(stored) or stored[number] != part:
                _put(client, _name(name, number), part)
        for number in range(len(parts), len(stored)):
            client.delete_variable_by_name(_name(name, number))
    changes.note("variable", name, "changed" if stored else "created")


def set_variable(client: "SyncPrefectClient", name: str, before: Any, after: Any, changes: Changes) -> None:
    """Keep a small value in one variable.

    Args:
        client: The client of the server.
        name: The name of the variable.
        before: The value as it was read.
        after: The value to keep.
        changes: The changes so far; this function adds its own.
    """
    exists = client.read_variable_by_name(name) is not None
    if exists and before == after:
        changes.note("variable", name, "unchanged")
        return
    if not changes.dry_run:
        _put(client, name, after)
    changes.note("variable", name, "changed" if exists else "created")


def _name(name: str, number: int) -> str:
    return name if number == 0 else f"{name}_{number + 1}"


def _parts(client: "SyncPrefectClient", name: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    while variable := client.read_variable_by_name(_name(name, len(parts))):
        parts.append(dict(variable.value) if isinstance(variable.value, dict) else {})
    return parts


def _split(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the table in parts of the length that a variable may have."""
    from prefect.types import MAX_VARIABLE_VALUE_LENGTH

    parts: list[dict[str, Any]] = [{}]
    length = 0
    for key, value in table.items():
        more = len(json.dumps({key: value}))
        if parts[-1] and length + more > MAX_VARIABLE_VALUE_LENGTH:
            parts.append({})
            length = 0
        parts[-1][key] = value
        length += more
    return parts


def _put(client: "SyncPrefectClient", name: str, value: Any) -> None:
    from prefect.client.schemas.actions import VariableCreate, VariableUpdate

    if client.read_variable_by_name(name) is not None:
        client.update_variable(VariableUpdate(name=name, value=value))
    else:
        client.create_variable(VariableCreate(name=name, value=value, tags=["everfit"]))
