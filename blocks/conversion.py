"""The conditions for serving a converted model in place of the fitted one."""

from pydantic import Field, FiniteFloat

from everfit.blocks.policy import Policy


class ConversionPolicy(Policy):
    """How closely a converted model must match the fitted one on the hold-out to be served in its place."""

    tolerance: FiniteFloat = Field(
        default=1e-4,
        ge=0,
        description="The largest allowed difference of a prediction from the fitted model's: of probabilities, or"
        " of numbers in standard deviations of the predictions.",
    )
    max_loss: FiniteFloat = Field(
        default=5e-3,
        ge=0,
        description="The largest loss of the primary metric by the conversion, as a share of its value.",
    )
