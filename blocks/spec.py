"""The model spec as a Prefect block: stored on a server, and edited in its UI."""

from prefect.blocks.core import Block

from everfit.blocks.content import ARRIVED, SPEC_CONFIG, ColumnRoles, ModelName, SpecContent

__all__ = ["ARRIVED", "ColumnRoles", "ModelName", "ModelSpec"]


class ModelSpec(SpecContent, Block):
    """All that everfit must know of one model.

    Attributes:
        name: The model's name, in the registry and everywhere else.
        task: What kind of thing is predicted.
        source: Where its data comes from.
        columns: What each column is for.
        maturity: How long after the event time labels are complete enough to be trained and scored on.
        expectations: What must hold of the data.
        training: How candidates are trained, and on what.
        gate: What a challenger must show to be released.
        monitoring: What is watched, and by which bounds.
        retraining: What calls for a new training, and how often at most.
        release: How a new champion takes its place.
        upkeep: How long what the model leaves is kept.

    Example:
        Load a stored spec:

        ```python
        from everfit.blocks import ModelSpec

        spec = ModelSpec.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Everfit Model Spec"
    _block_type_slug = "everfit-model-spec"
    _logo_url = "https://raw.githubusercontent.com/everfit/everfit/main/docs/logo.png"  # type: ignore[assignment]
    _documentation_url = "https://github.com/everfit/everfit#bring-your-own-data"  # type: ignore[assignment]

    model_config = SPEC_CONFIG
