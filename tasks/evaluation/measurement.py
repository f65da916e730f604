"""The input of each measurement whose evidence a gate check reads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.training.results import Fitted

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Incumbent:
    """The champion that the challenger is compared with, loaded.

    Attributes:
        version: Its version, and what it was trained on.
        model: Its pipeline.
        threshold: It acts from this probability on, where the spec states a business value.
    """

    version: ModelVersion
    model: "Pipeline"
    threshold: float | None = None


@dataclass(frozen=True)
class Measurement:
    """The hold-out with the scores of each model, and where they come from.

    Attributes:
        data: The turn's rows.
        scored: The hold-out rows with the scores of `challenger`, `champion` (if there is one) and `dummy`.
        challenger: As it was fitted.
        incumbent: The champion; None when there is none yet.
    """

    data: TrainingData
    scored: ScoredRows
    challenger: Fitted
    incumbent: Incumbent | None

    @property
    def spec(self) -> ModelSpec:
        """The model's spec; its gate has the limits."""
        return self.data.spec

    @property
    def has_classes(self) -> bool:
        """Whether classes are predicted, and not numbers."""
        return self.spec.task != "regression"
