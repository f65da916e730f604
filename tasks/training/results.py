"""Results of training: the score of each candidate, and the fitted model."""

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
    """Score of a candidate on validation rows that are later than the rows it was fitted on."""

    candidate: str
    metric: str
    score: float | None = Field(description="Validation score of its best setting; None if it failed.")
    rows: int
    seconds: float
    error: str = ""
    setting: Setting = Field(default_factory=Setting, description="Its best setting.")
    tries: tuple[TuningTrial, ...] = Field(default=(), description="All settings that were tried, in order.")


class Fitted(Record):
    """A fitted pipeline, kept in the workspace until it is registered."""

    candidate: str
    path: str
    rows: int
    trained_on: Sample | Window
    features: tuple[str, ...]
    setting: Setting = Field(default_factory=Setting)
    threshold: float | None = Field(default=None, description="Most valuable threshold; None without business_value.")


def read_model(fitted: Fitted, workspace: Workspace) -> "Pipeline":
    """Load the pipeline that an earlier step has fitted."""
    return load_model(workspace.read(fitted.path))
