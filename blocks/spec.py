"""The model spec as a Prefect block: stored on a server, and edited in its UI."""

from prefect.blocks.core import Block

from everfit.blocks.content import ARRIVED, SPEC_CONFIG, ColumnRoles, ModelName, SpecContent

__all__ = ["ARRIVED", "ColumnRoles", "ModelName", "ModelSpec"]


class ModelSpec(SpecContent, Block):
    """All that everfit must know of one model.

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
