"""A fitted pipeline as bytes: written with skops, and read only if everfit trusts each part of it."""

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from everfit.tasks.models.trusted_nodes import check_nodes, untrusted

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_IMPORTING = threading.Lock()


def dump_model(model: "Pipeline") -> bytes:
    """Write a fitted pipeline with skops."""
    return bytes(_skops().dumps(model))


def load_model(content: bytes) -> "Pipeline":
    """Read a pipeline that `dump_model` wrote.

    Raises:
        ModelError: it holds something that everfit does not trust, or it is damaged.
    """
    return _skops().loads(content, trusted=trusted_types(content))


def trusted_types(content: bytes) -> list[str]:
    """Check every part of a model file, and return the names that skops must trust.

    Raises:
        ModelError: it holds something that everfit does not trust, or it is damaged.
    """
    checked = check_nodes(content)
    wanted = _skops().get_untrusted_types(data=content)
    # skops reads the file by rules of its own: what it finds and the check did not see is not trusted.
    for name in sorted(set(wanted) - checked):
        raise untrusted(name, "found by skops")
    return list(wanted)


def _skops() -> Any:
    """Import skops without a list of its own of what it trusts.

    For that list skops imports all of scikit-learn, its test helpers included: half of the time in which a service
    starts, and a quarter of its memory. everfit's exact list decides in any case, so skops gets each name.
    """
    with _IMPORTING:
        if "skops.io" not in sys.modules:
            import sklearn.utils

            listing = sklearn.utils.all_estimators
            sklearn.utils.all_estimators = lambda *_, **__: []
            try:
                importlib.import_module("skops.io")
            finally:
                sklearn.utils.all_estimators = listing
    return sys.modules["skops.io"]
