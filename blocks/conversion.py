"""When a converted model is served in place of the fitted one."""

from pydantic import Field, FiniteFloat

from everfit.blocks.policy import Policy


class ConversionPolicy(Policy):
    """How near a converted model must come to the fitted one, on the hold-out, to be served in its place."""

    tolerance: FiniteFloat = Field(
        default=1e-4,
        ge=0,
        description="How far a prediction may be from the fitted model's: a difference of probabilities, or of numbers "
        "in the predictions' standard deviations.",
    )
    max_loss: FiniteFloat = Field(
        default=5e-3, ge=0, description="What the primary metric may lose by the conversion, as a share of its value."
    )
