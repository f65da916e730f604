"""A monitored model: the champion at a moment, its reference, its answers, and earlier decisions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.monitoring import ColumnDriftPolicy, MonitoringPolicy
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.champion_at import PLACING, ChampionAt, champion_at
from everfit.tasks.monitoring.champion_scores import champion_scores
from everfit.tasks.monitoring.holdout import baseline_of, holdout_answers
from everfit.tasks.monitoring.log_reads import features_in_log, labels_of_look, times_of_labelled
from everfit.tasks.monitoring.reference import Reference, load_reference
from everfit.tasks.monitoring.report.report_choice import draws_report
from everfit.tasks.monitoring.signals.live_estimate import QualityEstimator, can_estimate, fit_estimator
from everfit.tasks.monitoring.triage_history import JudgedWindow, newest_judgements, read_triages, triage_entries
from everfit.tasks.monitoring.windows import MonitoringWindows, monitoring_windows
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.held_labels import HeldLabels
from everfit.tasks.predictions.key_draw import most_rows
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.predictions.prediction_log import PREDICTED_AT
from everfit.tasks.registry import model_registry, registration
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.statistics.calendar_columns import calendar_columns
from everfit.tasks.triage.quality_signals import Baseline
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord


@dataclass(frozen=True)
class MonitoredModel:
    """A model at a moment; expensive parts are computed on first use.

    Attributes:
        context: The model's spec and storage.
        until: The moment.
        champion: The champion at that moment.
        version: The champion's version in the registry.
        turns: The model's turns as of now.
        triages: The triage decisions of earlier windows.
    """

    context: Context
    until: datetime
    champion: ChampionAt
    version: ModelVersion
    turns: tuple[Turn, ...]
    triages: tuple[JudgedWindow, ...]

    @classmethod
    def find(cls, context: Context, until: datetime) -> "MonitoredModel":
        """Look up the champion at a moment.

        Raises:
            NoChampionError: the model has never had a champion.
        """
        name, ledger = context.spec.name, context.ledger
        turns = ledger.turns.observed(name)
        placing = [entry for kind in PLACING for entry in ledger.decisions.of(name, kind=kind)]
        champion = champion_at(ledger.releases.of(name), {turn.id: turn for turn in turns}, placing, until)
        version = model_registry.model_version(context.mlflow, name, champion.version)
        triages = read_triages(triage_entries(ledger, name, turns), until)
        return cls(context, until, champion, version, tuple(turns), tuple(triages))

    def known_until(self, moment: datetime) -> "MonitoredModel":
        """Return the same champion with the labels that are known at another moment."""
        return replace(self, until=moment)

    @cached_property
    def judged(self) -> tuple[JudgedWindow, ...]:
        """The earlier windows, each with its newest decision."""
        return tuple(newest_judgements(self.triages))

    @property
    def turn(self) -> Turn | None:
        """The turn that trained the champion."""
        return self.champion.turn_among(self.turns)

    @property
    def was_refitted(self) -> bool:
        """Whether the champion was fitted again, on more rows, after its evaluation."""
        record = TurnRecord.recall(self.turn.record) if self.turn else TurnRecord()
        return record.fitted is not None and record.refitted is not None and record.fitted.path != record.refitted.path

    @cached_property
    def reference(self) -> Reference:
        """The champion's reference."""
        return load_reference(
            self.context.mlflow,
            self.context.ledger,
            self.version.model_copy(
                update={"run_id": self.champion.run_id}
            ),  # of the release, whatever the registry says
        )

    @cached_property
    def drift_policy(self) -> MonitoringPolicy:
        """The spec's policy, by which columns that follow from the event time are left out of drift."""
        policy, time = self.context.spec.monitoring, self.context.spec.columns.time
        sample = self.reference.sample
        calendar = calendar_columns(sample, time, self.features) if time in sample else ()
        by_calendar = {name: ColumnDriftPolicy(ignore=True) for name in calendar if name not in policy.columns}
        return policy.model_copy(update={"columns": {**policy.columns, **by_calendar}})

    def draws_report(self, drifted: Collection[str] = ()) -> bool:
        """Return whether a look gets a drift report.

        Args:
            drifted: The columns that have drifted; empty while that is not known.
        """
        last = self.judged[-1] if self.judged else None
        return draws_report(
            self.context.spec.monitoring,
            self.until,
            None if last is None else last.decision.window.until,
            drifted=drifted,
            last_drifted=() if last is None else last.signals.drift.columns,
        )

    @cached_property
    def windows(self) -> MonitoringWindows:
        """The spans of event time to measure."""
        looked = self.judged[-1].decision.window.until if self.judged else None
        return monitoring_windows(self.context.spec, self.version.trained_until, self.until, looked)

    @cached_property
    def _reached_back(self) -> tuple[Window, int]:
        """The span whose mature labels are judged, and of how many windows it is made."""
        windows, enough = self.windows, self.context.spec.monitoring.min_labels
        own = self._label_times(windows.labelled)
        if len(own) >= enough:
            return windows.labelled, 1
        earlier = Window(since=windows.unseen_since, until=windows.labelled.until)
        return windows.reach_back(self._label_times(earlier), enough)

    def _label_times(self, window: Window) -> "pd.Series[pd.Timestamp]":
        """Return the event times of the champion's rows in a window whose labels are known."""
        version, time = self.champion.version, self.event_time
        return times_of_labelled(self.context, self.labels, version, window, event_time=time, until=self.until)

    @cached_property
    def labels(self) -> HeldLabels:
        """The labels; those of the rows that a look asks for are read once."""
        return labels_of_look(self.context, self.windows, self.event_time, self.until)

    @property
    def labelled_window(self) -> Window:
        """The span whose mature labels are judged: the newest, and earlier ones if it has too few labels."""
        return self._reached_back[0]

    @property
    def labelled_windows(self) -> int:
        """The number of windows that the labelled window is made of."""
        return self._reached_back[1]

    @property
    def event_time(self) -> str:
        """The column of the prediction log with the event time."""
        return self.context.spec.columns.event_time or PREDICTED_AT

    @cached_property
    def features(self) -> list[str]:
        """The champion's features."""
        return [column.name for column in self.reference.profile.columns if column.role == "feature"]

    @cached_property
    def texts(self) -> list[str]:
        """The champion's features of free text, which the profile doesn't have."""
        texts = self.context.spec.columns.text
        return [name for name in texts if name in self.reference.sample and name not in self.features]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The champion's classes, as text, in its order; empty for a regression."""
        spec = self.context.spec
        if spec.task == "regression":
            return ()
        evaluated = self.reference.classes
        if spec.task == "binary" and evaluated is not None and len(evaluated) == 2:
            return evaluated  # there is no third class, so the model need not be loaded
        return self.known_by(self.champion.version)

    def known_by(self, version: int) -> tuple[str, ...]:
        """Return the classes of a version of the model, as text, in its order."""
        return tuple(map(str, self.scorer(version).classes))

    @cached_property
    def _scorers(self) -> dict[int, Scorer]:
        return {}

    def scorer(self, version: int) -> Scorer:
        """Return a version of the model as it is served; it is loaded once."""
        if version not in self._scorers:
            target = model_registry.model_version(self.context.mlflow, self.champion.model, version)
            self._scorers[version] = load_scorer(self.context.mlflow, self.context.ledger, target)
        return self._scorers[version]

    @cached_property
    def holdout(self) -> LabelledPredictions:
        """The evaluated champion's answers to its hold-out, with their labels."""
        return self._held_out.among(self._logged.every_class)

    @cached_property
    def _held_out(self) -> LabelledPredictions:
        classes = self.classes if self.reference.classes is None else self.reference.classes
        return holdout_answers(self.reference.sample, self.context.spec, classes)

    @cached_property
    def baseline(self) -> Baseline:
        """The champion's quality on its hold-out."""
        return baseline_of(self.holdout, self.context.spec)

    @cached_property
    def answers(self) -> LabelledPredictions:
        """The champion's answers in both windows, with their labels as of the moment.

        They have the same classes as the hold-out, even if a refit has added or removed some.
        """
        return self._logged.among(self._held_out.every_class)

    @cached_property
    def _logged(self) -> LabelledPredictions:
        needs_features = self.context.spec.task == "regression" or self.is_young
        window = Window(since=self.labelled_window.since, until=self.windows.window.until)
        return self._read(window, [*self.features, *self.texts] if needs_features else [])

    def answers_with_features(self, window: Window) -> LabelledPredictions:
        """Return the champion's answers in a window, with its features, the key, and the labels as of the moment.

        Args:
            window: The span of event time.
        """
        return self._read(window, [*self.features, *self.texts, *self.context.spec.columns.key])

    def _read(self, window: Window, features: Sequence[str]) -> LabelledPredictions:
        spec, table = self.context.spec, self.context.workspace.table
        answered = [prediction_log.PREDICTION] if spec.columns.protected else []  # fairness is of the answers
        return read_labelled_predictions(
            table(spec.name, "predictions"),
            self.labels,
            window,
            self.event_time,
            self.until,
            task=spec.task,
            classes=self.classes,
            version=self.champion.version,
            also=[*features, *spec.columns.protected, *slice_columns(spec), *answered],
            entity=spec.columns.entity,
            clients=spec.monitoring.clients,
            most=most_rows(len(features)),
        )

    @cached_property
    def mature(self) -> LabelledPredictions:
        """The answers in the labelled window, which are old enough to have mature labels."""
        until = self.windows.labelled.until
        window = self.labelled_window.model_copy(update={"until": until})
        return replace(self.answers.before(until), window=window)

    @cached_property
    def rest(self) -> LabelledPredictions:
        """The answers of the newest window that have no mature label."""
        answers, window = self.answers, self.windows.window
        if answers.rows.empty:
            return answers.of(answers.labelled)
        times = answers.rows[answers.event_time]
        usable = (times < self.windows.labelled.until).to_numpy() & answers.labelled
        return answers.of(~usable & (times >= window.since).to_numpy())

    @cached_property
    def estimator(self) -> QualityEstimator | None:
        """Estimates the metric without labels; None if the metric cannot be estimated.

        Raises:
            NotEnoughError: the hold-out is too small.
        """
        spec = self.context.spec
        if not can_estimate(spec.metric):
            return None
        return replace(fit_estimator(self.holdout, spec, self.features), look_up=self.features_of)

    def features_of(self, answers: LabelledPredictions) -> pd.DataFrame:
        """Return the features of some answers, drawn by a seed, in any order.

        Args:
            answers: The champion's answers.
        """
        names = [*self.features, *self.texts]
        if set(names) <= set(answers.rows.columns):
            return answers.rows[names]
        return features_in_log(self.context, self.champion.version, answers.rows, self.event_time, names)

    @property
    def is_young(self) -> bool:
        """Whether the champion was released so recently that the release may have caused a loss."""
        labelled = self.windows.labelled
        since = max(labelled.since or self.champion.released, labelled.until - self.windows.policy_window)
        young = since < self.champion.released + self.context.spec.release.rollback_within
        return young and self.champion.previous_version is not None

    @cached_property
    def threshold(self) -> float | None:
        """The score from which the user acts; None if the spec gives answers no business value."""
        return (
            registration.read_threshold(self.context.mlflow, self.version)
            if self.context.spec.training.business_value
            else None
        )

    def previous_scores(self, answers: LabelledPredictions) -> tuple[npt.NDArray[np.float64], tuple[str, ...]] | None:
        """Return the previous champion's scores of rows and its classes; None if it cannot score these rows."""
        assert self.champion.previous_version is not None  # noqa: S101 - only called for a young champion, which has one
        scorer = self.scorer(self.champion.previous_version)
        known = tuple(map(str, scorer.classes))
        if answers.task == "binary" and known != self.classes:
            return None
        names = [column.name for column in scorer.inputs.features]
        if not set(names) <= set(answers.rows.columns):
            return None
        return champion_scores(scorer, answers.rows[names], answers.task), known
