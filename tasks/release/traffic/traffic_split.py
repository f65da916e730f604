"""The arms of live traffic, as the registry tells the prediction services: who answers which share of the keys.

The ledger says what is decided; the services know the registry alone. So what they need lies there: the challenger's
alias, and on its version a tag with its share. Without the tag a challenger answers nobody.
"""

import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import Field

from everfit.blocks.errors import LedgerError, ModelError
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.registry import model_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRIAL_TAG = "everfit.trial"


class Arms(Record):
    """A challenger's part of live traffic."""

    trial: str = Field(description="Which trial; each one deals the keys out anew.")
    champion: int = Field(description="The version it is tried against; with another champion it answers nobody.")
    share: float = Field(ge=0, le=1, description="Of the keys.")

    def challenged(self, key: str) -> bool:
        """Whether the challenger answers this key: always the same, and with a larger share still.

        Args:
            key: Text that is the same for the same key.
        """
        digest = hashlib.blake2b(f"{self.trial}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8)
        return int.from_bytes(digest.digest(), "big") < self.share * 2**64


def read_arms(client: "MlflowClient", challenger: ModelVersion) -> Arms | None:
    """What a challenger answers; none when it isn't tried on live traffic.

    Raises:
        ModelError: the registry doesn't answer, or the tag can't be read.
    """
    told = model_registry.version_tags(client, challenger.model, challenger.version).get(TRIAL_TAG)
    if not told:
        return None
    try:
        return Arms.recall(json.loads(told))
    except (LedgerError, ValueError) as error:
        name = f"version {challenger.version} of {challenger.model!r}"
        raise ModelError(
            f"the tag {TRIAL_TAG!r} of {name} says {told!r}; delete it in MLflow to end the trial"
        ) from error


def write_arms(client: "MlflowClient", model: str, version: int, arms: Arms | None) -> bool:
    """Let a version be the challenger that answers its share; without arms it answers nobody.

    Returns:
        Whether anything had to be changed.
    """
    told = model_registry.version_tags(client, model, version).get(TRIAL_TAG)
    wanted = None if arms is None else arms.canonical_json()
    if told != wanted:
        model_registry.set_version_tag(client, model, version, TRIAL_TAG, wanted)
    challenger = model_registry.challenger(client, model)
    if arms is None or (challenger is not None and challenger.version == version):
        return told != wanted
    model_registry.set_alias(client, model, model_registry.CHALLENGER, version)
    return True
