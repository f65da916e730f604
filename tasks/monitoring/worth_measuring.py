"""Measure what the loop was worth: replaced models answer a sample of the labelled rows of a month."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError, EverfitError, NotEnoughError
from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Release
from everfit.tasks.monitoring.champion_scores import champion_scores
from everfit.tasks.monitoring.worth import TWO_SIDED, WORTH, MonthGain, MonthWorth, combined, months_of
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.key_draw import most_rows
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.predictions.prediction_log import MODEL_VERSION, PREDICTED_AT
from everfit.tasks.registry import model_registry, registration
from everfit.tasks.release.champions import made_champion
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.statistics.business_value import worth_of
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.scores import onto_classes
from everfit.tasks.turns.context import Context

Floats = npt.NDArray[np.float64]

_ROWS, _DRAWS, _LEAST_DAYS = 5_000, 500, 10
"""Rows of a champion's answers that replaced models answer, draws of the error, and days that show their own spread."""


class _Answered(NamedTuple):
    """The labelled answers of a version, and how many there are in all, with or without a label."""

    version: int
    sample: LabelledPredictions
    labelled: int
    answers: int


class WorthMeter:
    """Measures months of a model.

    Args:
        context: The model.
    """

    def __init__(self, context: Context) -> None:
        self.context, self.spec = context, context.spec
        self._scorers: dict[int, Scorer] = {}

    @cached_property
    def champions(self) -> list[Release]:
        """Return the releases that made a champion, oldest first."""
        return sorted(made_champion(self.context.ledger.releases.of(self.spec.name)), key=lambda entry: entry.seq)

    def entry_id(self, month: Window) -> str:
        """Return the id of a month's entry in the ledger; another model of the same name has others."""
        return f"{self.champions[0].run_id}/{WORTH}/{month.since:%Y-%m}"

    def measure(self, month: Window, *, final: bool = True) -> MonthWorth:
        """Return what the loop was worth in a month, by the labels that were known once they were mature.

        Args:
            month: Its span.
            final: Whether any error becomes a note of the month. Otherwise only an error of the rows does, because it
                will not change; a store or registry that can't be read may answer later.

        Raises:
            Exception: A model or a table can't be read, and `final` is false.
        """
        noted = Exception if final else DataError
        notes: list[str] = []
        turns = [
            turn
            for turn in self.context.ledger.turns.of(self.spec.name)
            if turn.trigger.kind != "waiting" and turn.attempt and turn.id != self.champions[0].turn_id
            if month.since is not None and month.since <= turn.window.until < month.until
        ]
        alone: list[MonthGain] = []
        previous: list[MonthGain] = []
        rows = 0
        for version, count in self._versions(month):
            try:
                answered = self._answered(month, version, count)
            except noted as error:
                notes.append(f"version {version}: {_reason(error)}")
                continue
            rows += answered.labelled
            if not answered.labelled:
                continue
            first, before = self.champions[0].version, self._before(answered.version)
            for name, other, found in (("the first model", first, alone), ("the one before", before, previous)):
                if other is None:
                    continue
                try:
                    found.append(self._gain(answered, other))
                except noted as error:
                    notes.append(f"version {answered.version} against {name}, version {other}: {_reason(error)}")
        benefit, value = self.spec.retraining.cost_benefit, self.spec.training.business_value
        return MonthWorth(
            month=f"{month.since:%Y-%m}",
            metric=self.spec.metric,
            rows=rows,
            alone=combined(alone),
            previous=combined(previous),
            turns=len(turns),
            cost=self._cost([turn.seconds or 0.0 for turn in turns]),
            unit=value.unit if value is not None else "" if benefit is None else benefit.unit,
            notes=tuple(notes or ([] if rows else ["no answer of this month has a mature label"])),
        )

    def due(self, until: datetime) -> list[Window]:
        """Return the months since the first model whose labels are mature and that the ledger does not have yet.

        Args:
            until: The present.
        """
        ledger = self.context.ledger
        if not self.champions:
            return []
        turn = ledger.turns.find(self.champions[0].turn_id or "")
        since = self.champions[0].at if turn is None else turn.window.until
        known = {entry.id for entry in ledger.decisions.of(self.spec.name, kind=WORTH)}
        months = months_of(since, until - self.spec.maturity)
        return [month for month in months if self.entry_id(month) not in known]

    def _cost(self, seconds: Sequence[float]) -> float | None:
        benefit = self.spec.retraining.cost_benefit
        if benefit is None:
            return None
        if benefit.cost_per_turn is not None:
            return benefit.cost_per_turn * len(seconds)
        return None if benefit.cost_per_hour is None else benefit.cost_per_hour * sum(seconds) / 3600

    def _before(self, version: int) -> int | None:
        """Return the champion that a version replaced when it was first released."""
        return next((entry.previous_version for entry in self.champions if entry.version == version), None)

    def _scorer(self, version: int) -> Scorer:
        if version not in self._scorers:
            client = self.context.mlflow
            found = model_registry.model_version(client, self.spec.name, version)
            self._scorers[version] = load_scorer(client, self.context.ledger, found)
        return self._scorers[version]

    def _features(self, version: int) -> list[str]:
        return [column.name for column in self._scorer(version).inputs.features]

    @property
    def _time(self) -> str:
        return self.spec.columns.event_time or PREDICTED_AT

    def _versions(self, month: Window) -> list[tuple[int, int]]:
        """Return the champions that answered in a month, each with the number of its answers."""
        log, labels = (self.context.workspace.table(self.spec.name, name) for name in ("predictions", "labels"))
        if not log.exists() or not labels.exists():
            return []
        counts: Counter[int] = Counter()
        for rows in log.batches(month, self._time, [MODEL_VERSION, prediction_log.ARM]):
            answered = rows.loc[rows[prediction_log.ARM].isin(prediction_log.ANSWERED), MODEL_VERSION]
            counts += Counter({int(str(version)): int(count) for version, count in answered.value_counts().items()})
        released = {entry.version for entry in self.champions}
        return sorted((version, count) for version, count in counts.items() if version in released)

    def _answered(self, month: Window, version: int, count: int) -> _Answered:
        """Return the labelled answers of a champion in a month.

        Raises:
            EverfitError: The champion can't be loaded, so its classes are not known.
        """
        spec, table = self.spec, self.context.workspace.table
        answers = read_labelled_predictions(
            table(spec.name, "predictions"),
            table(spec.name, "labels"),
            month,
            self._time,
            month.until + spec.maturity,
            task=spec.task,
            classes=[str(value) for value in self._scorer(version).classes],
            version=version,
            also=self._needed(version),
            entity=spec.columns.entity,
            clients=spec.monitoring.clients,
            most=most_rows(len(self._needed(version))),
        ).with_labels()
        if spec.task == "binary":
            answers = answers.of(~answers.unknown)
        chosen = np.zeros(len(answers.rows), dtype=np.bool_)
        chosen[np.unique(np.linspace(0, len(chosen) - 1, min(_ROWS, len(chosen))).astype(int))] = True
        return _Answered(version, answers.of(chosen), round(len(chosen) / answers.draw.share), count)

    def _needed(self, version: int) -> list[str]:
        """Return the columns that the models which a version is compared with need; a lost model needs none."""
        wanted: list[str] = []
        for other in (self.champions[0].version, self._before(version)):
            try:
                wanted += [] if other is None else self._features(other)
            except EverfitError:  # its comparison says so
                continue
        return list(dict.fromkeys(wanted))

    def _gain(self, answered: _Answered, other: int) -> MonthGain:
        """Return the gain of the logged answers over those of another version.

        Raises:
            EverfitError: The other version can't be loaded or can't answer these rows, or the rows show no gain.
        """
        answers, version = answered.sample, answered.version
        if other == version:
            return MonthGain(
                rows=answered.labelled, gain=0.0, standard_error=0.0, money=self._money(answered, other, None, 0)
            )
        scores, own = self._scores(answers, other)
        found = compare(
            own.truth,
            own.scores,
            scores,
            self.spec.metric,
            confidence=0.975,
            draws=_DRAWS,
            weights=None if own.inclusion is None else 1 / own.inclusion,
            clusters=own.days if len(np.unique(own.days)) >= _LEAST_DAYS else None,
        )
        error = (found.upper - found.lower) / (2 * TWO_SIDED)
        money = self._money(answered, other, scores, found.difference)
        return MonthGain(rows=answered.labelled, gain=found.difference, standard_error=error, money=money)

    def _scores(self, answers: LabelledPredictions, version: int) -> tuple[Floats, LabelledPredictions]:
        scorer = self._scorer(version)
        missing = [name for name in self._features(version) if name not in answers.rows]
        if missing:
            raise DataError(f"the log has no column {missing[0]!r}, which this model needs")
        known = tuple(map(str, scorer.classes))
        if answers.task == "binary" and known != answers.classes:
            raise NotEnoughError(f"it has the classes {', '.join(known)}, and the answers are of other ones")
        scores = champion_scores(scorer, answers.rows, answers.task)
        if answers.task != "multiclass":
            return scores, answers
        answers = answers.among(known)
        return onto_classes(scores, known, answers.every_class), answers

    def _money(self, answered: _Answered, other: int, scores: Floats | None, gain: float) -> float | None:
        """Return what the better answers were worth, on all answers; None without a value."""
        value, benefit = self.spec.training.business_value, self.spec.retraining.cost_benefit
        if value is None:
            return None if benefit is None else benefit.value_per_metric_unit * gain * answered.answers
        if scores is None:
            return 0.0
        per_row = [
            float(worth_of(value, self._threshold(version))(answered.sample.truth, given).mean())
            for version, given in ((answered.version, answered.sample.scores), (other, scores))
        ]
        return (per_row[0] - per_row[1]) * answered.answers

    def _threshold(self, version: int) -> float:
        found = model_registry.model_version(self.context.mlflow, self.spec.name, version)
        threshold = registration.read_threshold(self.context.mlflow, found)
        return 0.5 if threshold is None else threshold


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EverfitError) else f"{type(error).__name__}: {error}"
