"""Try remedies that are smaller than a full search, each as it would have been used: fitted on earlier rows only.

The rows that the champion has not seen are cut as the turn has cut them. At the start of each part every remedy is
fitted on the rows before, and it is measured on the part. The remedy that is judged on a part is chosen by the parts
before it, so the gate compares a procedure with the champion, and to try several remedies adds no error.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import kept_rows
from everfit.tasks.data.split import Sample, TrainingData
from everfit.tasks.evaluation.acting_threshold import new_threshold
from everfit.tasks.evaluation.remedy_ladder import (
    REFIT,
    THRESHOLD,
    EarlierVersion,
    Ladder,
    Patient,
    class_shares,
    former_name,
)
from everfit.tasks.gate.remedies import KEEP, RemediesTried
from everfit.tasks.models.corrected_model import corrected
from everfit.tasks.models.skops_format import dump_model, load_model, trusted_types
from everfit.tasks.statistics.corrections import Correction, corrections_for, fit_correction
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.scores import class_indices, model_scores
from everfit.tasks.training.results import Fitted, Remedied
from everfit.tasks.training.train import fit_on, keep_model

Floats = npt.NDArray[np.float64]

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_FORMER = former_name(0)[:-1]
_DOUBLED = 2
"""Once the rows are this many times those of the last search, the settings are searched again."""


@dataclass(frozen=True)
class Treatment:
    """The remedies that were tried, and the one that the gate may judge.

    Attributes:
        tried: The ladder, and the remedy that was chosen.
        challenger: The models that the choice would have given, to be judged; None where no remedy is enough.
    """

    tried: RemediesTried
    challenger: Fitted | None


def treat(data: TrainingData, patient: Patient, path: str) -> Treatment | None:
    """Try the remedies of a spec on the rows that the champion has not seen.

    Args:
        data: Rows of the turn.
        patient: The champion, and what may help.
        path: Path in the workspace for the newest of the models; other files are beside it.

    Returns:
        The remedies that were tried; None where none can be: without event times, or if the metric can show none.
    """
    split = data.split
    if isinstance(split.holdout, Sample) or split.holdout.since is None or patient.seen >= split.holdout.since:
        return None
    ladder = Ladder(data, patient, f"{path}.trial")
    only_measured = ladder.names == [REFIT] and REFIT not in data.spec.retraining.tried_remedies
    if only_measured and not ladder.acts_by_value:
        return None
    starts = [*([split.chosen_from] if split.chosen_from else []), split.holdout.since, *split.refits]
    judged: list[tuple[int, datetime, str]] = []
    for place, (start, end) in enumerate(pairwise([*starts, split.holdout.until])):
        ladder.measure(start, end)
        if start >= split.holdout.since:
            judged.append((place, start, ladder.choose(place, with_keep=False)[0]))
    chosen, rungs = ladder.choose(len(starts), with_keep=True)
    value = ladder.value_lead()
    if chosen == KEEP and value is not None and value.is_sure:
        chosen = THRESHOLD
        judged = [(place, start, THRESHOLD) for place, start, _ in judged]
    correction = ladder.newest_correction(chosen)
    tried = RemediesTried(
        champion=patient.champion.version,
        metric=data.spec.metric,
        rungs=rungs,
        chosen=chosen,
        how=_in_numbers(ladder, chosen, correction),
        value=value,
        is_judged=False,
    )
    why_not = _why_not(data, patient, chosen)
    if chosen == KEEP or why_not:
        return Treatment(tried.model_copy(update={"why_not": why_not}), None)
    *earlier, newest = [
        _written(ladder, name, place, start, path.replace(".skops", f"-{number}.skops"))
        for number, (place, start, name) in enumerate(judged, start=1)
    ]
    best = ladder.choice(len(starts)) if chosen == REFIT else _version(patient, chosen).choice
    for version in (patient.champion, *patient.former):
        data.workspace.write(_base(path, version.version), dump_model(version.model))
    challenger = newest.model_copy(update={"earlier": tuple(earlier), "best": best})
    return Treatment(tried.model_copy(update={"is_judged": True}), challenger)


def fit_remedy(data: TrainingData, challenger: Fitted, tried: RemediesTried, path: str) -> Fitted:
    """Fit the remedy that was chosen on all rows, as a refit does with what a search has found.

    Args:
        data: Rows of the turn.
        challenger: As `treat` returned it.
        tried: The same.
        path: Path in the workspace for the model.
    """
    newest, whole, name = challenger.remedied, data.split.whole, tried.chosen
    assert newest is not None  # noqa: S101 - `treat` has made it
    version = int(name.removeprefix(_FORMER)) if name.startswith(_FORMER) else tried.champion
    made = newest.model_copy(
        update={"remedy": name, "version": version, "base": _base(newest.base, version), "correction": None}
    )
    choice = challenger.choice
    if name == REFIT:
        return fit_on(data, choice.candidate, whole, path, choice.setting).model_copy(update={"remedied": made})
    base = load_model(data.workspace.read(made.base))
    model, correction = remade(data, made, base, whole.until)
    threshold = challenger.threshold
    if _acts_by_value(data, made):
        truth, answers = _answers(data, made, base, whole.until)
        threshold = new_threshold(data.spec, truth, answers, 0.5 if threshold is None else threshold)
    window = Window(since=data.split.training.since, until=whole.until)
    described = challenger.model_copy(
        update={
            "earlier": (),
            "best": None,
            "candidate": choice.candidate,
            "setting": choice.setting,
            "trained_on": window,
            "features": tuple(str(one) for one in base.feature_names_in_),
            "threshold": threshold,
        }
    )
    return _kept(data, model, described, made.model_copy(update={"correction": correction}), path)


def remade(
    data: TrainingData, made: Remedied, base: "Pipeline", until: datetime
) -> "tuple[Pipeline, Correction | None]":
    """Make a remedy again of a version's model, by the rows before a moment.

    Args:
        data: Rows of the turn.
        made: The remedy.
        base: The model that it is made of.
        until: End of the rows.
    """
    spec, measured = data.spec, metric(data.spec.metric, data.spec.task)
    if made.remedy.startswith(_FORMER) or _acts_by_value(data, made):
        return base, None
    classes = [] if spec.task == "regression" else base.classes_.tolist()
    truth, answers = _answers(data, made, base, until)
    correction = fit_correction(made.remedy, truth, answers, measured, class_shares(data, made.since, classes))
    return (base if correction is None else corrected(base, correction)), correction


def _acts_by_value(data: TrainingData, made: Remedied) -> bool:
    """Return whether a remedy is a threshold that changes no answer: one that the metric does not see."""
    helpful = corrections_for(metric(data.spec.metric, data.spec.task), 2)
    return made.remedy == THRESHOLD and THRESHOLD not in helpful


def _answers(data: TrainingData, made: Remedied, base: "Pipeline", until: datetime) -> tuple[Floats, Floats]:
    """Return labels and a version's answers of the rows from which a remedy is fitted."""
    spec, features = data.spec, [str(name) for name in base.feature_names_in_]
    rows = data.rows(Window(since=made.since, until=until), "correct by", features)
    rows = rows[~kept_rows(rows, spec)]
    classes = [] if spec.task == "regression" else base.classes_.tolist()
    answers = model_scores(base, rows[features], classes, spec.task)
    return class_indices(rows[spec.columns.target], classes, spec.task), answers


def _in_numbers(ladder: Ladder, chosen: str, correction: Correction | None) -> str:
    """Return a remedy in numbers; an empty text if it has none."""
    if correction is not None:
        return str(correction)
    threshold = ladder.threshold_at(ladder.data.split.whole.until) if chosen == THRESHOLD else None
    return "" if threshold is None else f"acting from {threshold:.3g} on"


def _why_not(data: TrainingData, patient: Patient, chosen: str) -> str:
    """Return why a refit is no substitute for a search; an empty text where it is, and for another remedy."""
    if chosen != REFIT:
        return ""
    if REFIT not in data.spec.retraining.tried_remedies:
        return "retraining.remedies does not name it"
    rows = len(data.training_rows(data.split.whole))
    if rows < _DOUBLED * patient.searched_rows:
        return ""
    return f"its settings were searched on {patient.searched_rows:,} rows, and there are {rows:,} now"


def _written(ladder: Ladder, chosen: str, place: int, start: datetime, path: str) -> Fitted:
    """Write the model of a remedy as it was fitted at the start of a part."""
    data, patient = ladder.data, ladder.patient
    if chosen == REFIT and (refitted := ladder.refitted(place)) is not None:
        choice, model = refitted
        return keep_model(data, choice, model, path).model_copy(
            update={"remedied": _remedied(patient, chosen, None, path)}
        )
    version, acts = _version(patient, chosen), chosen == THRESHOLD and ladder.acts_by_value
    correction = ladder.correction(chosen, place)
    model = version.model if correction is None else corrected(version.model, correction)
    described = Fitted(
        candidate=version.choice.candidate,
        path=path,
        rows=0,
        trained_on=Window(since=data.split.training.since, until=start),
        features=tuple(str(name) for name in version.model.feature_names_in_),
        setting=version.choice.setting,
        threshold=ladder.threshold(place) if acts else version.threshold,
    )
    return _kept(data, model, described, _remedied(patient, chosen, correction, path), path)


def _kept(data: TrainingData, model: "Pipeline", described: Fitted, made: Remedied, path: str) -> Fitted:
    """Write a model to the workspace, unless it could not be loaded later."""
    content = dump_model(model)
    trusted_types(content)
    data.workspace.write(path, content)
    rows = len(data.training_rows(described.trained_on))
    return described.model_copy(update={"path": path, "rows": rows, "remedied": made})


def _base(path: str, version: int) -> str:
    """Return the path of an earlier version's file beside a turn's other files."""
    return f"{path.rsplit('/', 1)[0]}/base-{version}.skops"


def _version(patient: Patient, name: str) -> EarlierVersion:
    return next((one for one in patient.former if former_name(one.version) == name), patient.champion)


def _remedied(patient: Patient, name: str, correction: Correction | None, path: str) -> Remedied:
    version = _version(patient, name)
    return Remedied(
        remedy=name,
        version=version.version,
        base=_base(path, version.version),
        since=patient.seen,
        correction=correction,
        searched_rows=patient.searched_rows,
    )
