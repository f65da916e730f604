"""Flush what MLflow keeps in local folders, before anything names it."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from everfit.tasks.storage.durable import sync_folder, sync_tree

_MADE_WITH_IT = 5
"""MLflow makes up to this many folders around one: of the model, of all models, of the experiment, of the store."""


def make_durable(uris: Iterable[str]) -> None:
    """Flush folders of artifacts to the disk; a store elsewhere looks after its own.

    Args:
        uris: Addresses of folders in MLflow's store.
    """
    for uri in uris:
        place = Path(unquote(uri.removeprefix("file://")))
        if place.is_absolute() and place.is_dir():
            sync_tree(place)
            for parent in place.parents[1:_MADE_WITH_IT]:
                with suppress(PermissionError):  # not a folder that MLflow has made
                    sync_folder(parent)
