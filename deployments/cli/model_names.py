"""Find the model that a command is about."""

from typing import TYPE_CHECKING

from everfit.blocks.errors import SpecError

if TYPE_CHECKING:
    from everfit.tasks.ledger import Ledger


def model_name(model: str, ledger: "Ledger") -> str:
    """Return the name of a model that the ledger knows, or that of a spec.

    A name in the ledger needs no spec. Commands that only read it do not ask a Prefect server for a block.

    Args:
        model: Name of the model, or its spec: a file, a name in `deployments/models`, or a stored block.
        ledger: The ledger.

    Raises:
        SpecError: Neither the ledger nor a spec has that name, or the model has another name now.
    """
    if model in ledger.turns.models():
        return model
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.ledger.model_names import later_name

    if (later := later_name(ledger, model)) is not None:
        raise SpecError(f"the model {model!r} was renamed to {later!r}; use that name")
    return load_spec(model).name
