"""Make a model version ready to serve: load it, warm it up and probe it."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.input_column import InputError
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.logged_model import LoggedModel
from everfit.tasks.predictions import prediction_log
from everfit.tasks.scoring.fast_path.answering import WithoutPipeline
from everfit.tasks.scoring.scorer import Scorer, read_scorer

logger = logging.getLogger(__name__)

_WARM_ROWS = (1, 2, 16, 64)


@dataclass(frozen=True)
class Servable:
    """A loaded model version.

    Attributes:
        version: The version.
        scorer: Scorer of the version.
        answers_probabilities: Whether MLflow's protocol returns probabilities, as the model was logged.
        kinds: Kinds of the prediction log's columns.
        since: Unix time of loading.
        files_checked_by: Record that the files were compared with: the digests in the workspace, the registry tag,
            or nothing, because none were recorded.
    """

    version: ModelVersion
    scorer: Scorer
    answers_probabilities: bool = False
    since: float = field(default_factory=time.time)
    files_checked_by: str = "not recorded"
    kinds: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", prediction_log.column_kinds(self.inputs))

    @property
    def inputs(self) -> InputSchema:
        """Return the inputs of the model."""
        return self.scorer.inputs

    def describe(self) -> dict[str, Any]:
        """Return the version's facts for `GET /models/{name}`."""
        return {
            "version": self.version.version,
            "run_id": self.version.run_id,
            "trained_until": self.version.trained_until.isoformat(),
            "since": self.since,
            "files_checked_by": self.files_checked_by,
        }


def load_servable(
    folder: Path,
    version: ModelVersion,
    files_checked_by: str = "not recorded",
    condensed: WithoutPipeline | None = None,
) -> Servable:
    """Load a version from disk, warm it up, and check that it predicts.

    Args:
        folder: Folder as MLflow logged it.
        version: The version.
        files_checked_by: Record that its files were compared with.
        condensed: A stand-in that answers in place of its pipeline, which is not loaded then.

    Raises:
        ModelError: If it isn't a scikit-learn model saved with skops, holds untrusted types, or fails.
    """
    from threadpoolctl import threadpool_limits

    scorer = read_scorer(folder, version, condensed)
    _in_one_thread(scorer.estimator)
    described = LoggedModel.read(folder)
    function = described.flavor("python_function").get("predict_fn", "predict")
    servable = Servable(version, scorer, function == "predict_proba", files_checked_by=files_checked_by)
    with threadpool_limits(limits=1):  # leave the other cores to the served version
        _warm(servable, _examples(described, scorer.inputs))
    return servable


def warm_examples(folder: Path, inputs: InputSchema) -> list[dict[str, list[Any]]]:
    """Return the checked columns of the batches by which a version is warmed up.

    Args:
        folder: Folder as MLflow logged it.
        inputs: Schema of its inputs.
    """
    columns = _examples(LoggedModel.read(folder), inputs)
    return [_repeated(columns, count) for count in _WARM_ROWS]


def _in_one_thread(estimator: Any) -> None:
    """Turn off the estimator's threads, because they cost more time than a few rows need."""
    known = estimator.get_params() if hasattr(estimator, "get_params") else {}
    if threaded := {name: 1 for name, value in known.items() if name.split("__")[-1] == "n_jobs" and value is not None}:
        estimator.set_params(**threaded)


def _examples(described: LoggedModel, inputs: InputSchema) -> dict[str, list[Any]]:
    """Return the input example that was logged with the model, or else a record made from its schema."""
    example = described.example()
    if example is not None:
        try:
            return inputs.check(example, len(next(iter(example.values()))), new_categories=True)
        except InputError as error:
            logger.warning(
                "the model's input example doesn't fit its schema at column %r; a made-up record is used", error.column
            )
    record = inputs.example()
    return inputs.check({name: [value] for name, value in record.items()}, 1)


def feature_columns(frame: Any, inputs: InputSchema) -> dict[str, list[Any]]:
    """Return a frame's features as JSON values by column."""
    columns: dict[str, list[Any]] = {}
    for column in inputs.features:
        series = frame[column.name]
        values = [value.isoformat() for value in series] if column.kind == "datetime" else series.tolist()
        columns[column.name] = [
            None if missing else value for value, missing in zip(values, series.isna(), strict=True)
        ]
    return columns


def _warm(servable: Servable, columns: dict[str, list[Any]]) -> None:
    for count in _WARM_ROWS:
        try:
            answered = len(servable.scorer.score_columns(_repeated(columns, count)).values)
        except Exception as error:
            name = f"version {servable.version.version} of {servable.version.model!r}"
            raise ModelError(f"{name} doesn't answer: {type(error).__name__}: {error}") from error
        if answered != count:
            raise ModelError(f"version {servable.version.version} returned {answered} predictions for {count} rows")


def _repeated(columns: dict[str, list[Any]], count: int) -> dict[str, list[Any]]:
    """Return so many rows by repeating some."""
    rows = len(next(iter(columns.values())))
    return {name: (values * (count // rows + 1))[:count] for name, values in columns.items()}
