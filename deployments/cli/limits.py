"""The limits of a model's automatic turns, from its spec or what the ledger has of it."""

from everfit.blocks.errors import EverfitError
from everfit.blocks.retraining import RetrainingPolicy
from everfit.blocks.settings import Settings


def known_limits(model: str, settings: Settings, *, stored: bool) -> RetrainingPolicy | None:
    """Return the limits of a model's spec, or else those of the last recorded one; None without any.

    Args:
        model: The name of the model.
        settings: The settings.
        stored: Whether the spec may be a block on a Prefect server.
    """
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.entitlement import recorded_spec

    try:
        return load_spec(model, stored=stored).retraining
    except EverfitError:  # the file may lie anywhere
        recorded = recorded_spec(model, settings).get("retraining")
        return None if recorded is None else RetrainingPolicy.model_validate(recorded)
