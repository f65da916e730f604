"""The reference of a model version: what it was trained on, and what it said of rows that it had not seen.

Monitoring compares live data with it. It is logged with the version's run, so that it changes with the champion.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.ledger import Ledger
from everfit.tasks.models.artifacts import file_digest
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.run_files import download_run_files
from everfit.tasks.predictions.prediction_log import PREDICTION, PROBABILITIES, SCORE
from everfit.tasks.scoring.loading import announced
from everfit.tasks.scoring.outliers import FILE as OUTLIERS_FILE
from everfit.tasks.scoring.outliers import OutlierDetector
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.scoring.scores import Scores
from everfit.tasks.statistics.profile import Profile, profile_frame, reference_sample
from everfit.tasks.statistics.scores import onto_classes
from everfit.tasks.storage.tables import KEY
from everfit.tasks.training.results import Fitted, read_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROFILE_FILE, SAMPLE_FILE = "reference/profile.json", "reference/sample.parquet"
CLASSES_FILE = "reference/classes.json"
"""The artifacts of a turn's run."""


@dataclass(frozen=True)
class Reference:
    """The reference that live data is compared with.

    Attributes:
        profile: The profile of the features over all rows that the version was trained on, and of the predictions over
            the hold-out.
        sample: Rows of the hold-out: `_key`, event time, features, protected columns, label, and the prediction in
            the columns of the prediction log, made by the model as it was judged, before a refit.
        classes: Those that the model as it was judged knows, as text, in its order: a refit may know others. Empty
            for a regression; None where a version was logged without them.
    """

    profile: Profile
    sample: pd.DataFrame
    classes: tuple[str, ...] | None = None


def make_reference(data: TrainingData, judged: Fitted, registered: Fitted, holdout: Window | None = None) -> Reference:
    """Make the reference of a turn's model.

    Args:
        data: The turn's rows.
        judged: The challenger as it was judged: it has not seen the hold-out.
        registered: The registered model, perhaps fitted again on all rows.
        holdout: The part of the hold-out that it was judged on; by default all of it.

    Raises:
        DataError: there are no rows, or none with a mature label.
    """
    spec = data.spec
    trained = data.training_rows(registered.trained_on)
    since = data.split.holdout.since if holdout is None else holdout.since
    held_out = data.rows(data.split.holdout.model_copy(update={"since": since}), "make a reference of")
    predictions, known = predicted(data, judged, held_out)
    # A score says something of a binary model alone; a multiclass one that knows two classes so far may know more soon.
    names = [PREDICTION, SCORE] if spec.task == "binary" else [PREDICTION]
    entity = [name for name in (spec.columns.entity,) if name is not None and name in held_out]
    kept = [KEY, spec.columns.time, *data.features, *spec.columns.protected, *entity, spec.columns.target]
    sample = pd.concat([held_out[list(dict.fromkeys(kept))], predictions.dropna(axis="columns", how="all")], axis=1)
    written = set(spec.columns.text)  # a text is no category; the sample shows whether texts have moved
    of_features = profile_frame(
        trained, [name for name in data.features if name not in written], event_time=spec.columns.time
    )
    of_predictions = profile_frame(sample, [], predictions=names, event_time=spec.columns.time)
    profile = of_features.model_copy(update={"columns": of_features.columns + of_predictions.columns})
    return Reference(profile, reference_sample(sample, seed=spec.training.seed), tuple(map(str, known)))


def predicted(data: TrainingData, model: Fitted, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[object]]:
    """Return what a challenger says of rows, in the columns of the prediction log, and the classes that it knows.

    The classes are those of all its models, in scikit-learn's order; a regression has none.

    Args:
        data: The turn's rows.
        model: The challenger; each of its models answers the rows that it is judged on.
        rows: The rows of the hold-out; shape (rows, columns).
    """
    answered: list[tuple[pd.Index, Scores, list[object]]] = []
    classes: set[object] = set()
    # To read a model costs more than to ask it, and two may not fit into memory: each is read once.
    for fitted, judged in zip(model.chain, model.judged(rows[data.spec.columns.time]), strict=True):
        pipeline, part = read_model(fitted, data.workspace), rows[judged]
        own = [] if data.spec.task == "regression" else pipeline.classes_.tolist()
        classes |= {*own}
        if not part.empty:
            inputs = InputSchema.of_frame(part, task=data.spec.task, features=fitted.features)
            answered.append((part.index, Scorer(pipeline, inputs).score(part[list(fitted.features)]), own))
    known = sorted(classes)  # type: ignore[type-var]  # a column's values are of one kind
    frames = []
    for index, answers, own in answered:
        if answers.probabilities is not None and data.spec.task == "multiclass":
            answers = replace(answers, probabilities=onto_classes(answers.probabilities, own, known))  # noqa: PLW2901
        columns = answers.columns()
        named = {name: columns[name] for name in (PREDICTION, SCORE, PROBABILITIES)}
        frames.append(pd.DataFrame(named, index=index))
    return pd.concat(frames).loc[rows.index].astype({SCORE: "float64"}), known


def log_reference(client: "MlflowClient", run_id: str, reference: Reference) -> None:
    """Log the reference as artifacts of a turn's run."""
    with TemporaryDirectory(prefix="everfit-reference-") as folder:
        profile, sample = Path(folder, "profile.json"), Path(folder, "sample.parquet")
        profile.write_text(reference.profile.canonical_json(), encoding="utf-8")
        reference.sample.to_parquet(sample, index=False)
        outliers = Path(folder, Path(OUTLIERS_FILE).name)
        outliers.write_text(OutlierDetector.fit(reference.profile, reference.sample).canonical_json(), encoding="utf-8")
        classes = Path(folder, Path(CLASSES_FILE).name)
        classes.write_text(json.dumps(reference.classes), encoding="utf-8")
        for path in (profile, sample, classes, outliers):
            client.log_artifact(run_id, str(path), "reference")


def load_reference(client: "MlflowClient", ledger: Ledger, version: ModelVersion) -> Reference:
    """Read the reference that was logged with a version's run.

    Raises:
        ArtifactError: Its files are not those that were registered.
        ModelError: The run has none.
    """
    from mlflow.exceptions import MlflowException

    run_id = version.run_id

    with TemporaryDirectory(prefix="everfit-reference-") as folder:
        problem: Exception | None = None
        try:
            download_run_files(client, run_id, str(Path(PROFILE_FILE).parent), folder)
        except (MlflowException, OSError) as error:
            problem = error
        names = [name for name in (PROFILE_FILE, SAMPLE_FILE, CLASSES_FILE) if Path(folder, name).is_file()]
        paths = [Path(folder, name) for name in names]
        if problem is not None or names[:2] != [PROFILE_FILE, SAMPLE_FILE]:
            raise ModelError(
                f"run {run_id!r} has no reference to compare with: its files are gone, or everfit didn't train "
                f"the version; restore them from a backup, or release another version by `everfit rollback` or "
                f"`everfit train --replace-broken-champion`"
            ) from problem
        with announced(version):
            digests = {name: file_digest(path) for name, path in zip(names, paths, strict=True)}
            ledger.artifacts.check_some(version, digests)
        profile = Profile.model_validate_json(paths[0].read_text(encoding="utf-8"))
        classes = tuple(json.loads(paths[2].read_text(encoding="utf-8"))) if paths[2:] else None
        return Reference(profile, pd.read_parquet(paths[1]), classes)
