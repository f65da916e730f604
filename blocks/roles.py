"""Who may do what with a model."""

from typing import Literal

from pydantic import Field

from everfit.blocks.policy import Policy

Action = Literal["train", "approve", "roll_back", "forget"]
"""What a role allows, each a key of `RolesPolicy`."""

_NAMES = "the names of people; without any, everybody may"


class RolesPolicy(Policy):
    """Who may train, approve, roll back and forget by hand. What everfit does by itself has no role.

    A name counts as MLflow knows it if the command runs with somebody's login to MLflow
    (`MLFLOW_TRACKING_USERNAME`), and otherwise as it is stated.
    """

    train: tuple[str, ...] = Field(
        default=(), description=f"Who may start a turn by `everfit train`, which may end in a release: {_NAMES}."
    )
    approve: tuple[str, ...] = Field(
        default=(),
        description=f"Who may approve or decline a waiting challenger, or stop its traffic trial: {_NAMES}.",
    )
    roll_back: tuple[str, ...] = Field(
        default=(), description=f"Who may roll the champion back, by command or in the Prefect UI: {_NAMES}."
    )
    forget: tuple[str, ...] = Field(default=(), description=f"Who may delete the rows of a key: {_NAMES}.")
    logged_in: bool = Field(
        default=False,
        description="Whether only a name counts that MLflow knows. A name that is only stated, such as in a form of "
        "the Prefect UI, is refused then for the actions that have names here.",
    )
