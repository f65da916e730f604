"""The ladder of remedies: each is fitted on earlier rows, measured on later ones, and compared with the others."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, EverfitError
from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import kept_rows
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.acting_threshold import ActedPart, acts_by_value, new_threshold, value_lead
from everfit.tasks.evaluation.model_comparison import compare_models
from everfit.tasks.evaluation.scored_rows import score_rows
from everfit.tasks.gate.remedies import KEEP, Lead, Rung, ValueLead, smallest_enough
from everfit.tasks.statistics.corrections import Correction, corrections_for, fit_correction
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.newest_parts import Gain, agreeing_parts
from everfit.tasks.statistics.scores import class_indices, model_scores
from everfit.tasks.training.in_process import FittedModel
from everfit.tasks.training.results import Choice
from everfit.tasks.training.search import Setting
from everfit.tasks.training.spans import competing_spans
from everfit.tasks.training.train import fit_model

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

logger = logging.getLogger("everfit.training")

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

REFIT, THRESHOLD = "refit", "threshold"


@dataclass(frozen=True)
class EarlierVersion:
    """The champion or a former one, loaded.

    Attributes:
        version: Its number.
        model: Its pipeline.
        choice: Candidate and setting that it was fitted with.
        threshold: It acts from this probability on, where the spec states a business value.
    """

    version: int
    model: "Pipeline"
    choice: Choice
    threshold: float | None = None


@dataclass(frozen=True)
class Patient:
    """The champion that is to be corrected or replaced, and what may help.

    Attributes:
        champion: The champion.
        seen: It has seen no row whose event time is at or after this.
        searched_rows: Rows that its settings were last searched on.
        former: Former champions that can still be loaded, the newest first.
    """

    champion: EarlierVersion
    seen: datetime
    searched_rows: int = 0
    former: tuple[EarlierVersion, ...] = ()


@dataclass
class _Part:
    """One part of the rows.

    Attributes:
        rows: Which rows; shape (all rows,).
        corrections: As they were fitted before it, by name.
        refits: The champion's procedure as it was fitted before it, by span.
        scores: The scores of each remedy for the rows, by name; shape (rows,) or (rows, classes) each.
        by_span: The scores of each refit, by its span.
        threshold: From which on the champion would act, as it was fitted before it; None if that is not tried.
    """

    rows: Mask
    corrections: dict[str, Correction]
    refits: dict[str, FittedModel]
    scores: dict[str, Floats]
    by_span: dict[str, Floats]
    threshold: float | None


class Ladder:
    """The remedies that a spec asks for and that its metric can show, on the rows that the champion has not seen.

    The highest rung is always a refit with the champion's settings: where it is surely ahead of all smaller remedies,
    these are not enough.

    Args:
        data: Rows of the turn.
        patient: The champion.
        scratch: Path of a file that may be written and deleted.

    Attributes:
        names: The remedies, the smallest first.
        acts_by_value: Whether another threshold is tried too, which no metric shows.
    """

    def __init__(self, data: TrainingData, patient: Patient, scratch: str) -> None:
        spec, models = data.spec, {KEEP: patient.champion.model}
        self.data, self.patient = data, patient
        self._scratch = scratch
        wanted = spec.retraining.tried_remedies
        if "former_champion" in wanted:
            models |= {former_name(one.version): one.model for one in patient.former}
        window = Window(since=patient.seen, until=data.split.whole.until)
        rows = data.rows(window, "try remedies on", _columns(data, list(models.values())))
        self._scored = score_rows(spec, rows, models)
        self._times = rows[spec.columns.time]
        self._shares = class_shares(data, patient.seen, self._scored.classes)
        self._metric = metric(spec.metric, spec.task)
        helpful = corrections_for(self._metric, len(self._scored.classes))
        knows_all = list(getattr(patient.champion.model, "classes_", [])) == list(self._scored.classes)
        self._corrections = [name for name in helpful if name in wanted and knows_all]
        self.names = [*self._corrections, *(name for name in models if name != KEEP), REFIT]
        self.acts_by_value = acts_by_value(spec) and knows_all and THRESHOLD not in self._corrections
        self._parts: list[_Part] = []

    def measure(self, start: datetime, end: datetime) -> None:
        """Fit each remedy on the rows before a part, and score the part."""
        rows = np.asarray((self._times >= pd.Timestamp(start)) & (self._times < pd.Timestamp(end)))
        corrections = self._corrections_at(start)
        refits = self._refits_at(start)
        answers = {name: scores[rows] for name, scores in self._scored.scores.items()}
        scores = {name: answers.get(name, answers[KEEP]) for name in [KEEP, *self.names]}
        scores |= {name: correction.apply(answers[KEEP]) for name, correction in corrections.items()}
        classes, task = self._scored.classes, self.data.spec.task
        features = self._scored.rows.loc[rows, self.data.features]
        by_span = {
            span: model_scores(fitted.pipeline, features, classes, task) if rows.any() else answers[KEEP]
            for span, fitted in refits.items()
        }
        part = _Part(rows, corrections, refits, scores, by_span, self.threshold_at(start))
        self._parts.append(part)
        if by_span:
            part.scores[REFIT] = by_span[self.span(len(self._parts) - 1)]

    def choose(self, known: int, *, with_keep: bool) -> tuple[str, tuple[Rung, ...]]:
        """Return the smallest remedy that is enough by the first parts, and the ladder.

        Args:
            known: Number of these parts.
            with_keep: Whether no change is a rung as well.
        """
        names = [*([KEEP] if with_keep else []), *self.names]
        rungs = tuple(
            Rung(name=name, value=self._value(name, known), leads=self._leads(names[place + 1 :], name, known))
            for place, name in enumerate(names)
        )
        return smallest_enough(rungs), rungs

    def correction(self, name: str, place: int) -> Correction | None:
        """Return a correction as it was fitted before a part; None for another remedy, or where rows were too few."""
        return self._parts[place].corrections.get(name)

    def newest_correction(self, name: str) -> Correction | None:
        """Return a correction by all rows; None for another remedy, or where rows are too few."""
        return self._corrections_at(self.data.split.whole.until).get(name)

    def threshold(self, place: int) -> float | None:
        """Return from which probability on the champion would act, as it was fitted before a part."""
        return self._parts[place].threshold

    def threshold_at(self, until: datetime) -> float | None:
        """Return from which probability on acting was worth most on the rows before a moment; None if not tried."""
        if not self.acts_by_value:
            return None
        truth, answers = self._before(until)
        return new_threshold(self.data.spec, truth, answers, self._old_threshold)

    def value_lead(self) -> ValueLead | None:
        """Return how far another threshold is ahead in business value; None if not tried, or if rows are too few."""
        parts = [ActedPart(one.rows, one.threshold) for one in self._parts if one.threshold is not None]
        return value_lead(self.data.spec, self._scored, KEEP, self._old_threshold, parts) if parts else None

    @property
    def _old_threshold(self) -> float:
        known = self.patient.champion.threshold
        return 0.5 if known is None else known

    def refitted(self, place: int) -> tuple[Choice, FittedModel] | None:
        """Return the refit that is judged on a part, and what it was fitted with; None if it could not be fitted."""
        refits = self._parts[place].refits
        return (self.choice(place), refits[self.span(place)]) if refits else None

    def choice(self, known: int) -> Choice:
        """Return the champion's candidate and setting, on the span that did best on the first parts."""
        choice = self.patient.champion.choice
        setting = Setting(parameters=choice.setting.parameters, span=self.span(known))
        return Choice(candidate=choice.candidate, setting=setting)

    def span(self, known: int) -> str:
        """Return the span that does best on the first parts: all history unless a shorter one is clearly ahead."""
        common = [span for span in self._parts[-1].by_span if all(span in part.by_span for part in self._parts)]
        spans = common or list(self._parts[-1].by_span)
        best = spans[0]
        for span in spans[1:] if known and common else ():
            gain = self._gain(f"{REFIT} {span}", f"{REFIT} {best}", known)
            if gain is not None and gain.value > gain.error:
                best = span
        return best

    def _corrections_at(self, start: datetime) -> dict[str, Correction]:
        truth, answers = self._before(start)
        fitted = {name: fit_correction(name, truth, answers, self._metric, self._shares) for name in self._corrections}
        return {name: correction for name, correction in fitted.items() if correction is not None}

    def _before(self, start: datetime) -> tuple[Floats, Floats]:
        """Return labels and the champion's answers of the rows before a moment."""
        before = np.asarray(self._times < pd.Timestamp(start)) & ~kept_rows(self._scored.rows, self.data.spec)
        return self._scored.truth[before], self._scored.scores[KEEP][before]

    def _refits_at(self, start: datetime) -> dict[str, FittedModel]:
        choice, fitted = self.patient.champion.choice, dict[str, FittedModel]()
        window = Window(since=self.data.split.training.since, until=start)
        for span in competing_spans(self.data):
            setting = Setting(parameters=choice.setting.parameters, span=span)
            try:
                again = Choice(candidate=choice.candidate, setting=setting)
                fitted[span] = fit_model(self.data, again, window, self._scratch)
            except Exception as problem:  # noqa: BLE001 - an estimator may raise anything; the other spans go on
                logger.warning("%s on span %s can't be fitted again: %s", choice.candidate, span, problem)
        return fitted

    def _leads(self, higher: Sequence[str], name: str, known: int) -> tuple[Lead, ...]:
        gains = {other: self._gain(other, name, known) for other in higher}
        return tuple(
            Lead(
                higher=other,
                gain=gain.value,
                error=gain.error,
                degrees_of_freedom=gain.freedom if np.isfinite(gain.freedom) else None,
            )
            for other, gain in gains.items()
            if gain is not None
        )

    def _gain(self, new: str, old: str, known: int) -> Gain | None:
        """Return how far one remedy is ahead of another on the newest of the first parts that agree."""

        def gain(newest: int, oldest: int) -> Gain | None:
            some = self._parts[known - oldest : known - newest]
            rows = np.logical_or.reduce([part.rows for part in some])
            pair = {"challenger": self._answers(new, some), "champion": self._answers(old, some)}
            chosen = replace(self._scored.subset(rows), scores=pair)
            try:
                compared = compare_models(self.data.spec, chosen, "champion")
            except EverfitError:
                return None  # too few rows, or too few of a class
            return Gain(compared.difference, compared.deviation, compared.degrees_of_freedom or np.inf)

        return gain(0, agreeing_parts(known, gain)) if known else None

    def _answers(self, name: str, parts: Sequence[_Part]) -> Floats:
        """Return a remedy's scores of some parts, whose rows follow each other in time."""
        span = name.removeprefix(f"{REFIT} ") if name.startswith(f"{REFIT} ") else None
        return np.concatenate([part.scores[name] if span is None else part.by_span[span] for part in parts])

    def _value(self, name: str, known: int) -> float | None:
        parts = self._parts[:known]
        if not parts:
            return None
        truth = self._scored.truth[np.logical_or.reduce([part.rows for part in parts])]
        try:
            return self._metric.score(truth, self._answers(name, parts))
        except EverfitError:
            return None


def former_name(version: int) -> str:
    """Return the name of the remedy that releases a former champion again."""
    return f"former champion {version}"


def class_shares(data: TrainingData, seen: datetime, classes: Sequence[object]) -> Floats | None:
    """Return the share of each class among the rows that the champion has seen, over as long as a training window.

    None for a regression; all shares are 0 if there are no such rows any more.

    Args:
        data: Rows of the turn.
        seen: End of these rows.
        classes: All classes, in order.
    """
    if data.spec.task == "regression":
        return None
    whole = data.split.whole
    since = None if whole.since is None else seen - (whole.until - whole.since)
    try:
        rows = data.training_rows(Window(since=since, until=seen))
    except DataError:
        return np.zeros(len(classes))
    places = class_indices(rows[data.spec.columns.target], classes, data.spec.task)
    return np.asarray(np.bincount(places.astype(np.int64), minlength=len(classes)) / len(places), dtype=np.float64)


def _columns(data: TrainingData, models: "Sequence[Pipeline]") -> list[str]:
    names = [str(name) for model in models for name in model.feature_names_in_]
    return list(dict.fromkeys([*names, *data.spec.columns.key]))
