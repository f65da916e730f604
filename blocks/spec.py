"""The model spec as a Prefect block: stored on a server, and edited in its UI."""

import json
from typing import Any

from prefect.blocks.core import Block

from everfit.blocks.columns import ARRIVED, ColumnRoles
from everfit.blocks.content import SPEC_CONFIG, ModelName, SpecContent

__all__ = ["ARRIVED", "ColumnRoles", "ModelName", "ModelSpec"]

_SCHEMAS: dict[tuple[Any, ...], str] = {}


class ModelSpec(SpecContent, Block):
    """Store the specification of one model: data, training, gate, monitoring and release.

    Attributes:
        name: The model's name in the registry and everywhere else.
        task: The kind of prediction: `binary`, `multiclass` or `regression`.
        source: The source of the model's data.
        joins: The sources that are joined to the rows as of the event.
        columns: The role of each column: key, event time, label time, target, features.
        maturity: The time after the event at which labels are complete enough to train and score on.
        expectations: The expectations that the data must meet.
        training: How candidates are trained, and on which rows.
        gate: The checks that a challenger must pass before it is released.
        monitoring: The signals that are measured while the model serves, and their limits.
        retraining: The causes of a new training, and how often it may start by itself.
        release: How a new champion takes over from the old one.
        upkeep: How long the model's rows, files and versions are kept.
        schedules: When the model's flows run by themselves on a Prefect server.
        owner: The person or team that the model belongs to.
        notify: The notification blocks that the model's messages go to, by severity.

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

    @classmethod
    def model_json_schema(cls, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return the JSON schema, as Pydantic makes it; Prefect reads it many times for each block that it stores."""
        request = (cls, arguments, tuple(sorted(named.items())))
        if request not in _SCHEMAS:
            _SCHEMAS[request] = json.dumps(super().model_json_schema(*arguments, **named))
        schema: dict[str, Any] = json.loads(_SCHEMAS[request])
        return schema
