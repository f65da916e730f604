"""What training leaves: how each candidate did, and the fitted model."""

from typing import TYPE_CHECKING

from pydantic import Field

from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.split import Sample
from everfit.tasks.models.skops_format import load_model
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.search import Setting, TuningTrial

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


class CandidateResult(Record):
    """How a candidate did on validation rows later than those it was fitted on."""

    candidate: str
    metric: str
    score: float | None = Field(description="Of its best setting on the validation rows; None when it failed.")
    rows: int
    seconds: float
    error: str = ""
    setting: Setting = Field(default_factory=Setting, description="Its best setting.")
    tries: tuple[TuningTrial, ...] = Field(default=(), description="All settings that were tried, in order.")


class Fitted(Record):
    """A fitted pipeline, kept in the workspace until it is in the registry."""

    candidate: str
    path: str
    rows: int
    trained_on: Sample | Window
    features: tuple[str, ...]
    setting: Setting = Field(default_factory=Setting)
    threshold: float | None = Field(default=None, description="Best in value on later rows; None without a value.")


def read_model(fitted: Fitted, workspace: Workspace) -> "Pipeline":
    """The pipeline that a step before has fitted."""
    return load_model(workspace.read(fitted.path))
