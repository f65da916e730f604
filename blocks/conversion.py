"""When a converted model is served in place of the fitted one."""

from pydantic import Field, FiniteFloat

from everfit.blocks.policy import Policy


class ConversionPolicy(Policy):
    """How near a converted model must come to the fitted one, on the hold-out, to be served in its place.

    Attributes:
        tolerance: How far a prediction may be off: a probability, or a number in the predictions' standard deviations.
        max_loss: What the primary metric may lose, as a share of its value.
    """

    tolerance: FiniteFloat = Field(default=1e-4, ge=0, description="How far any prediction may be off.")
    max_loss: FiniteFloat = Field(default=5e-3, ge=0, description="Of the primary metric, as a share of its value.")
