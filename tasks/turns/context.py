"""The context that every step needs: the model's spec, and the places that the settings name."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry.mlflow_client import check_tracking, tracking_client
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.storage.workspace_format import refuse_newer

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Context:
    """A model and where its things are kept; small enough to be sent to another process.

    Attributes:
        spec: The model's spec.
        settings: The settings of this installation.
    """

    spec: ModelSpec
    settings: Settings

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace.of(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, its schema up to date.

        Raises:
            LedgerError: It can't be opened.
            WorkspaceError: The workspace beside it is of a newer everfit.
        """
        refuse_newer(Workspace(self.settings.workspace))
        return Ledger.open(self.settings, self.spec.release.signers)

    @cached_property
    def mlflow(self) -> "MlflowClient":
        """A client of the MLflow server or database.

        Raises:
            ModelError: Nobody answers at its address.
        """
        check_tracking(self.settings)
        return tracking_client(self.settings)

    def __reduce__(self) -> tuple[type["Context"], tuple[ModelSpec, Settings]]:
        """Open connections stay behind."""
        return Context, (self.spec, self.settings)
