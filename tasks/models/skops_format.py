"""A fitted pipeline as bytes: written with skops, and read only if everfit trusts each part of it."""

import importlib
import sys
from typing import TYPE_CHECKING

from everfit.tasks.models.trusted_nodes import check_nodes, damaged, untrusted

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def dump_model(model: "Pipeline") -> bytes:
    """Write a fitted pipeline with skops."""
    import skops.io

    return bytes(skops.io.dumps(model))


def load_model(content: bytes) -> "Pipeline":
    """Read a pipeline that `dump_model` wrote.

    Raises:
        ModelError: it holds something that everfit does not trust, or it is damaged.
    """
    import skops.io

    trusted = trusted_types(content)
    try:
        return skops.io.loads(content, trusted=trusted)
    except Exception as error:  # a damaged part may raise anything
        raise damaged(error) from error


def trusted_types(content: bytes) -> list[str]:
    """Check every part of a model file, and return the names that skops must trust.

    Raises:
        ModelError: it holds something that everfit does not trust, or it is damaged.
    """
    import skops.io

    checked = check_nodes(content)
    try:
        wanted = skops.io.get_untrusted_types(data=content)
    except Exception as error:  # a damaged part may raise anything
        raise damaged(error) from error
    # skops reads the file by rules of its own: what it finds and the check did not see is not trusted.
    for name in sorted(set(wanted) - checked):
        raise untrusted(name, "found by skops")
    return list(wanted)


def import_without_listing() -> None:
    """Import skops without its own list of what it trusts, in a process that only serves models.

    For that list skops imports all of scikit-learn, its test helpers included. everfit's exact list decides in any
    case, so skops gets each name. Other code of the process can't rely on the list: MLflow saves no model there.
    """
    if "skops.io" in sys.modules:
        return
    import sklearn.utils

    listing = sklearn.utils.all_estimators
    sklearn.utils.all_estimators = lambda *_, **__: []
    try:
        importlib.import_module("skops.io")
    finally:
        sklearn.utils.all_estimators = listing
