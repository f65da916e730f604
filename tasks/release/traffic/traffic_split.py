"""The split of live traffic between champion and challenger, as the prediction services read it from the registry.

The ledger records decisions, but the services know only the registry. So the registry holds the challenger's alias, and
a tag with its share on its version. A challenger without the tag gets no traffic.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from everfit.blocks.errors import LedgerError, ModelError
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.registry import model_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRIAL_TAG = "everfit.trial"


class TrafficSplit(Record):
    """The challenger's share of live traffic."""

    trial: str = Field(description="The trial; each trial assigns the keys again.")
    champion: int = Field(description="The version that it is compared with; with another champion it gets no traffic.")
    share: float = Field(ge=0, le=1, description="Share of the keys.")
    shadow: bool = Field(
        default=False, exclude_if=lambda shadow: not shadow, description="It predicts all rows, and nobody sees them."
    )

    def routes_to_challenger(self, key: str) -> bool:
        """Return whether requests with this key go to the challenger.

        A key always gets the same arm. It stays with the challenger as the share grows.

        Args:
            key: The key as text.
        """
        digest = hashlib.blake2b(f"{self.trial}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8)
        return int.from_bytes(digest.digest(), "big") < self.share * 2**64


def read_split(client: "MlflowClient", challenger: ModelVersion) -> TrafficSplit | None:
    """Return a challenger's share of the traffic, or None if it isn't on trial.

    Raises:
        ModelError: The registry doesn't answer, or the tag can't be read.
    """
    return split_of_tags(model_registry.version_tags(client, challenger.model, challenger.version), challenger)


def split_of_tags(tags: Mapping[str, str], challenger: ModelVersion) -> TrafficSplit | None:
    """Return the share of the traffic that the tags of a challenger name, or None if they name none.

    Raises:
        ModelError: The tag can't be read.
    """
    tag = tags.get(TRIAL_TAG)
    if not tag:
        return None
    try:
        return TrafficSplit.recall(json.loads(tag))
    except (LedgerError, ValueError) as error:
        name = f"version {challenger.version} of {challenger.model!r}"
        raise ModelError(
            f"the tag {TRIAL_TAG!r} of {name} is {tag!r}, which can't be read; delete it in MLflow to end the trial"
        ) from error


def write_split(client: "MlflowClient", model: str, version: int, arms: TrafficSplit | None) -> bool:
    """Make a version the challenger with a share of the traffic; None ends its share.

    Returns:
        Whether anything was changed.
    """
    tag = model_registry.version_tags(client, model, version).get(TRIAL_TAG)
    wanted = None if arms is None else arms.canonical_json()
    if tag != wanted:
        model_registry.set_version_tag(client, model, version, TRIAL_TAG, wanted)
    challenger = model_registry.challenger(client, model)
    if arms is None or (challenger is not None and challenger.version == version):
        return tag != wanted
    model_registry.set_alias(client, model, model_registry.CHALLENGER, version)
    return True
