"""Score rows with a model, and return the scores as columns of the prediction log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.logged_model import LoggedModel
from everfit.tasks.scoring.fast_path.answering import Answering, ByPipeline, WithoutPipeline, answering_of, classes_of
from everfit.tasks.scoring.outliers import OutlierDetector, read_detector
from everfit.tasks.scoring.scores import Scores

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class Scorer:
    """A fitted estimator with its inputs, version and outlier detector.

    Attributes:
        estimator: The fitted estimator, usually a pipeline.
        inputs: Schema of its inputs.
        version: Version in the registry.
        outliers: Detector of unusual inputs; None for a model that everfit didn't train.
    """

    estimator: "BaseEstimator"
    inputs: InputSchema
    version: int = 0
    outliers: OutlierDetector | None = None
    classes: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        classes = classes_of(self.estimator)
        object.__setattr__(self, "classes", [] if classes is None else list(classes.tolist()))

    @cached_property
    def answering(self) -> Answering:
        """How checked columns are answered: by a fast path if there is one."""
        return answering_of(self.estimator, self.inputs)

    def score(self, frame: "pd.DataFrame") -> Scores:
        """Predict on rows.

        Args:
            frame: Features in the model's order; shape (rows, features).

        Returns:
            Scores of the rows.

        Raises:
            ModelError: If the model returns NaN or infinity.
        """
        return ByPipeline(self.estimator, self.inputs, classes_of(self.estimator)).of_frame(frame)

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Predict on checked columns, by a fast path if there is one.

        Args:
            columns: Columns from `InputSchema.check`.

        Returns:
            Scores of the rows.

        Raises:
            ModelError: If the model returns NaN or infinity.
        """
        return self.answering.scores(columns)

    def outlier_scores(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[float] | list[None]:
        """Return how unusual checked rows are, from 0 to 1, or None for each row if there is no detector."""
        return [None] * rows if self.outliers is None else self.outliers.score(columns, rows)


def task_of(estimator: "BaseEstimator") -> TaskKind:
    """Infer the kind of prediction of an estimator that everfit didn't train."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return "regression"
    return "binary" if len(classes) == 2 else "multiclass"


def read_scorer(folder: Path, version: ModelVersion, condensed: WithoutPipeline | None = None) -> Scorer:
    """Load a model version from a folder, as MLflow logged it.

    Args:
        folder: Folder with the version's files.
        version: The version.
        condensed: A stand-in that answers in place of its pipeline, which is not loaded then.

    Raises:
        ModelError: If it isn't a scikit-learn model saved with skops, or holds untrusted types.
        DataError: If its inputs aren't described.
    """
    name = f"version {version.version} of {version.model!r}"
    described = LoggedModel.read(folder)
    flavor = described.flavor("sklearn")
    if flavor.get("serialization_format") != "skops":
        saved_as = flavor.get("serialization_format", "no scikit-learn model")
        raise ModelError(f"{name} was saved as {saved_as!r}, and everfit loads only 'skops'; log it again with skops")
    file = (folder / str(flavor["pickled_model"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ModelError(f"{name}: its file {flavor['pickled_model']!r} is outside the model's folder; log it again")
    estimator: Any = condensed or _load_estimator(folder, file)
    inputs, outliers = InputSchema.of_model(described, task_of(estimator)), read_detector(folder)
    if outliers is not None and not outliers.fits({column.name: column.kind for column in inputs.features}):
        outliers = None
    return Scorer(estimator, inputs, version.version, outliers)


def _load_estimator(folder: Path, file: Path) -> Any:
    """Return the estimator that was released: the converted one, or that of scikit-learn."""
    from everfit.tasks.models.onnx_model import read_onnx
    from everfit.tasks.models.released_format import read_converted
    from everfit.tasks.models.skops_format import load_model

    converted = read_converted(folder)
    return load_model(file.read_bytes()) if converted is None else read_onnx(converted)
