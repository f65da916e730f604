"""Flush what MLflow keeps in local folders, before anything names it."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from everfit.tasks.storage.durable import sync_tree


def make_durable(uris: Iterable[str]) -> None:
    """Flush folders of artifacts to the disk; a store elsewhere looks after its own.

    Args:
        uris: Addresses of folders in MLflow's store.
    """
    for uri in uris:
        place = Path(unquote(uri.removeprefix("file://")))
        if place.is_absolute() and place.is_dir():
            sync_tree(place)
