"""The roles of a model: the people with the right to each action."""

from typing import Literal

from pydantic import Field

from everfit.blocks.policy import Policy

Action = Literal["train", "approve", "roll_back", "forget", "quarantine", "retire", "label", "edit"]
"""An action with a role, each a key of `RolesPolicy`."""

_NAMES = "By default everybody has it."


class RolesPolicy(Policy):
    """The people with the right to each action by hand. Automatic actions have no role.

    A name counts as MLflow knows it if the command runs with somebody's login to MLflow
    (`MLFLOW_TRACKING_USERNAME`), and otherwise as it is stated.
    """

    train: tuple[str, ...] = Field(
        default=(),
        description="The people with the right to start a turn by `everfit train`, which may end in a release. "
        f"{_NAMES}",
    )
    approve: tuple[str, ...] = Field(
        default=(),
        description="The people with the right to approve or decline a waiting challenger, and to stop its traffic "
        f"trial. {_NAMES}",
    )
    roll_back: tuple[str, ...] = Field(
        default=(),
        description=f"The people with the right to roll the champion back, by command or in the Prefect UI. {_NAMES}",
    )
    forget: tuple[str, ...] = Field(
        default=(), description=f"The people with the right to delete the rows of a key. {_NAMES}"
    )
    quarantine: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="The people with the right to accept, discard and recheck quarantined rows by "
        f"`everfit quarantine`. {_NAMES}",
    )
    retire: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="The people with the right to end or rename the model. Both commands read the spec of the model's "
        f"newest turn that trained. {_NAMES}",
    )
    label: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="The people with the right to record labels by `everfit labels MODEL FILE` and by `label-queue "
        f"--read`. {_NAMES}",
    )
    edit: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="The people with the right to change this spec. An edited spec is used only after one of them has "
        f"accepted it, by `everfit accept-spec` or `everfit bootstrap`. {_NAMES}",
    )
    logged_in: bool = Field(
        default=False,
        description="Whether only a name counts that MLflow knows. A name that is only stated, such as in a form of "
        "the Prefect UI, is refused then for the actions that have names here.",
    )
