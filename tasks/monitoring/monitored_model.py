"""What a monitoring run looks at: the champion as of a moment, its reference, its answers, and what is remembered."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.champion_at import PLACING, Standing, standing
from everfit.tasks.monitoring.monitoring import Windows, turn_of_release, windows_of
from everfit.tasks.monitoring.reference import Reference, load_reference
from everfit.tasks.monitoring.signals.explanation_drift import ExplanationDrift, attributions, explanation_drift
from everfit.tasks.monitoring.signals.joint_drift import MultivariateDrift, multivariate_drift
from everfit.tasks.monitoring.signals.live_quality import baseline_of, holdout_answers
from everfit.tasks.monitoring.triage_history import Judged, judged_windows, recalled, remembered
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_answers
from everfit.tasks.predictions.prediction_log import PREDICTED_AT
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.triage.signals import Baseline
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord


@dataclass(frozen=True)
class Watched:
    """A model at a moment; what is costly to find is found when it is asked for.

    Attributes:
        context: The model's.
        until: The moment.
        standing: Its champion.
        version: The same in the registry.
        turns: The model's turns, as they are seen now.
        triages: Of the windows before.
    """

    context: Context
    until: datetime
    standing: Standing
    version: ModelVersion
    turns: tuple[Turn, ...]
    triages: tuple[Judged, ...]

    @classmethod
    def find(cls, context: Context, until: datetime) -> "Watched":
        """Look the champion up.

        Raises:
            NoChampionError: there has never been one.
        """
        name, ledger = context.spec.name, context.ledger
        turns = ledger.turns.observed(name)
        placing = [entry for kind in PLACING for entry in ledger.decisions.of(name, kind=kind)]
        champion = standing(ledger.releases.of(name), {turn.id: turn for turn in turns}, placing, until)
        version = model_registry.model_version(context.mlflow, name, champion.version)
        triages = recalled(remembered(ledger, name, turns), until)
        return cls(context, until, champion, version, tuple(turns), tuple(triages))

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The windows before, each as it was judged last."""
        return tuple(judged_windows(self.triages))

    @property
    def turn(self) -> Turn | None:
        """The turn that trained the champion."""
        return turn_of_release(self.turns, self.standing)

    @property
    def fitted_again(self) -> bool:
        """Whether the champion was fitted again, on more rows, after it was judged."""
        record = TurnRecord.recall(self.turn.record) if self.turn else TurnRecord()
        return record.fitted is not None and record.refitted is not None and record.fitted.path != record.refitted.path

    @cached_property
    def reference(self) -> Reference:
        """What the champion was trained on."""
        return load_reference(self.context.mlflow, self.standing.run_id)

    @cached_property
    def windows(self) -> Windows:
        """The spans to look at."""
        return windows_of(self.context.spec, self.version.trained_until, self.until)

    @property
    def event_time(self) -> str:
        """The column of the prediction log that windows are cut by."""
        return self.context.spec.columns.event_time or PREDICTED_AT

    @cached_property
    def features(self) -> list[str]:
        """The features of the champion."""
        return [column.name for column in self.reference.profile.columns if column.role == "feature"]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes that the champion knows, as text, in its order; none for a regression."""
        spec = self.context.spec
        if spec.task == "regression":
            return ()
        judged = self.reference.classes
        if spec.task == "binary" and judged is not None and len(judged) == 2:
            return judged  # there is no third, so the model need not be loaded to know them
        return self.known_by(self.standing.version)

    def known_by(self, version: int) -> tuple[str, ...]:
        """The classes that a version of the model knows, as text, in its order."""
        return tuple(map(str, self.scorer(version).classes))

    @cached_property
    def _scorers(self) -> dict[int, Scorer]:
        return {}

    def scorer(self, version: int) -> Scorer:
        """A version of the model as it is served, loaded once."""
        if version not in self._scorers:
            target = model_registry.model_version(self.context.mlflow, self.standing.model, version)
            self._scorers[version] = load_scorer(self.context.mlflow, target)
        return self._scorers[version]

    @cached_property
    def holdout(self) -> LabelledPredictions:
        """What the champion, as it was judged, said of its hold-out, with what came true."""
        return self._held_out.among(self._logged.every_class)

    @cached_property
    def _held_out(self) -> LabelledPredictions:
        judged = self.classes if self.reference.classes is None else self.reference.classes
        return holdout_answers(self.reference.sample, self.context.spec, judged)

    @cached_property
    def baseline(self) -> Baseline:
        """The champion's quality there."""
        return baseline_of(self.holdout, self.context.spec)

    @cached_property
    def answers(self) -> LabelledPredictions:
        """The champion's answers in both windows, with their labels as known at the moment.

        They are told in the same classes as the hold-out, whichever of them a fit again has added or taken away.
        """
        return self._logged.among(self._held_out.every_class)

    @cached_property
    def _logged(self) -> LabelledPredictions:
        spec, table = self.context.spec, self.context.workspace.table
        features = self.features if spec.task == "regression" or self.is_young else []
        return read_answers(
            table(spec.name, "predictions"),
            table(spec.name, "labels"),
            self.windows.both,
            self.event_time,
            self.until,
            task=spec.task,
            classes=self.classes,
            version=self.standing.version,
            also=[*features, *spec.columns.protected],
        )

    @cached_property
    def mature(self) -> LabelledPredictions:
        """Those in the labelled window, which are old enough."""
        chosen = self._within(self.windows.labelled.until)
        return self._part(chosen, self.windows.labelled.until)

    @cached_property
    def rest(self) -> LabelledPredictions:
        """Those of the newest window that have no mature label."""
        answers, window = self.answers, self.windows.window
        usable = self._within(self.windows.labelled.until) & answers.labelled
        newest = (answers.rows[answers.event_time] >= window.since).to_numpy() if len(answers.rows) else usable
        return answers.of(~usable & newest)

    @property
    def is_young(self) -> bool:
        """Whether the champion was released so lately that a loss may be its own."""
        since = self.windows.labelled.since
        young = since is not None and since < self.standing.released + self.context.spec.release.rollback_within
        return young and self.standing.previous_version is not None

    @cached_property
    def threshold(self) -> float | None:
        """From which score on the user acts; none where the spec doesn't say what that is worth."""
        return (
            tracking.threshold(self.context.mlflow, self.version) if self.context.spec.training.business_value else None
        )

    def explanation_drift(self, live: pd.DataFrame) -> ExplanationDrift | None:
        """How far what the champion rests its answers on has moved; none with too few rows to tell.

        Args:
            live: Rows of the window.
        """
        scorer = self.scorer(self.standing.version)
        names = [column.name for column in scorer.inputs.features]
        if not set(names) <= set(live.columns) & set(self.reference.sample.columns):
            return None
        held_out, told = self.reference.sample[names], partial(ask, scorer, task=self.context.spec.task)
        try:
            before, now = (attributions(told, rows, held_out) for rows in (held_out, live[names]))
            return explanation_drift(before, now, self.context.spec.monitoring)
        except NotEnoughError:
            return None

    def joint_drift(self, live: pd.DataFrame) -> MultivariateDrift | None:
        """Whether a classifier tells the window from the reference; none with too few rows.

        Args:
            live: Rows of the window.
        """
        held_out = self.reference.sample
        names = [name for name in self.features if name in live.columns and name in held_out.columns]
        try:
            return multivariate_drift(held_out, live, names, self.context.spec.monitoring)
        except NotEnoughError:
            return None

    def previous_scores(self, answers: LabelledPredictions) -> tuple[npt.NDArray[np.float64], tuple[str, ...]] | None:
        """What the champion before says of rows, and the classes that it knows; None where it can't be asked that."""
        assert self.standing.previous_version is not None  # noqa: S101 - asked of a young champion only
        scorer = self.scorer(self.standing.previous_version)
        known = tuple(map(str, scorer.classes))
        if answers.task == "binary" and known != self.classes:
            return None
        names = [column.name for column in scorer.inputs.features]
        if not set(names) <= set(answers.rows.columns):
            return None
        return ask(scorer, answers.rows[names], answers.task), known

    def _within(self, end: datetime) -> npt.NDArray[np.bool_]:
        answers = self.answers
        return (answers.rows[answers.event_time] < end).to_numpy() if len(answers.rows) else np.zeros(0, dtype=np.bool_)

    def _part(self, chosen: npt.NDArray[np.bool_], until: datetime) -> LabelledPredictions:
        part = self.answers.of(chosen)
        window = self.windows.labelled.model_copy(update={"until": until})
        return replace(part, window=window)


def ask(scorer: Scorer, rows: pd.DataFrame, task: TaskKind) -> npt.NDArray[np.float64]:
    """What a model says of rows of the log: scores, or probabilities of a multiclass model.

    Args:
        scorer: The model.
        rows: Its features; shape (rows, features).
        task: What is predicted.
    """
    inputs = scorer.inputs.model_copy(update={"key": ()})
    names = [column.name for column in inputs.features]
    found = scorer.score(inputs.conform(rows[names])[names])
    if task == "multiclass":
        assert found.probabilities is not None  # noqa: S101 - only a regression gives none
        return found.probabilities
    assert found.score is not None  # noqa: S101 - anything else gives one
    return found.score
