"""A fitted pipeline as bytes: written with skops, and read only if everfit trusts each part of it."""

from typing import TYPE_CHECKING

from everfit.tasks.models.trusted_nodes import check_nodes

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

    return skops.io.loads(content, trusted=trusted_types(content))


def trusted_types(content: bytes) -> list[str]:
    """Check every part of a model file, and return the names that skops must trust.

    Raises:
        ModelError: it holds something that everfit does not trust, or it is damaged.
    """
    import skops.io

    check_nodes(content)
    return list(skops.io.get_untrusted_types(data=content))
