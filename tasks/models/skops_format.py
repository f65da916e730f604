"""A fitted pipeline as bytes: written with skops, and read only if each type in it is known."""

import os
from typing import TYPE_CHECKING

from everfit.blocks.errors import ModelError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

TRUSTED_PREFIXES = ("sklearn.", "lightgbm.", "xgboost.")
"""Modules whose types everfit's own models are made of; a model that needs another is not loaded."""

# Of the standard library and numpy not all: `builtins.eval` behind a `partial` would be run by the first prediction.
# What a partial calls is listed, and so reviewed, by itself.
TRUSTED_TYPES = {"functools.partial", "numpy.dtype", "collections.OrderedDict", "collections.defaultdict"}

TRUSTED_VARIABLE = "EVERFIT_TRUSTED_PACKAGES"
"""Names further packages, apart by commas, whose types a model may be made of: an operator's decision, not a spec's."""


def dump_model(model: "Pipeline") -> bytes:
    """Write a fitted pipeline with skops."""
    import skops.io

    return bytes(skops.io.dumps(model))


def load_model(content: bytes) -> "Pipeline":
    """Read a pipeline that `dump_model` wrote.

    Raises:
        ModelError: it holds a type that everfit's models are not made of.
    """
    import skops.io

    return skops.io.loads(content, trusted=trusted_types(content))


def trusted_types(content: bytes) -> list[str]:
    """The types that skops would ask about, each reviewed.

    Raises:
        ModelError: one of them is not of a module that everfit's models are made of.
    """
    import skops.io

    found = skops.io.get_untrusted_types(data=content)
    named = [name.strip() for name in os.environ.get(TRUSTED_VARIABLE, "").split(",") if name.strip()]
    trusted = (*TRUSTED_PREFIXES, *(f"{name}." for name in named))
    if strange := [name for name in found if name not in TRUSTED_TYPES and not name.startswith(trusted)]:
        raise ModelError(
            f"the model holds {strange[0]!r}, a type that everfit does not trust; use plain scikit-learn parts, or "
            f"set {TRUSTED_VARIABLE}={strange[0].partition('.')[0]} wherever the model is trained and served"
        )
    return list(found)
