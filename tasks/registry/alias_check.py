"""Check the champion alias in the registry against the ledger's releases."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from everfit.blocks.errors import ModelError
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient


def check_alias(client: "MlflowClient", ledger: Ledger, model: str) -> list[str]:
    """Return what doesn't fit between the champion alias and the releases, one sentence each.

    Args:
        client: Client of the registry.
        ledger: The ledger.
        model: Name of the model.
    """
    return [f"{problem}; `everfit reconcile {model}` shows and repairs it" for problem in _check(client, ledger, model)]


def _check(client: "MlflowClient", ledger: Ledger, model: str) -> Iterator[str]:
    if (unfinished := ledger.releases.unfinished(model)) is not None:
        yield f"release {unfinished.seq}, of version {unfinished.version}, is unfinished"
        return
    current, champion = ledger.releases.current(model), model_registry.champion(client, model)
    if current is None:
        if champion is not None:
            yield f"the champion alias is at version {champion.version}, and the ledger has no release"
        return
    released = f"release {current.seq} made version {current.version} the champion"
    try:
        version = model_registry.model_version(client, model, current.version)
    except ModelError:
        yield f"{released}, and the registry has no such version"
        return
    if champion is None:
        yield f"{released}, and no version has the champion alias"
    elif champion.version != current.version:
        yield f"{released}, and the champion alias is at version {champion.version}"
    elif version.run_id != current.run_id:
        yield f"{released} of run {current.run_id!r}, and in the registry it is of run {version.run_id!r}"
