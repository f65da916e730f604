"""Read the windows that a spec was lived through, from its own ledger and tables."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path

import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import ModelVersion, Record, Window
from everfit.tasks.ledger import Release, Turn
from everfit.tasks.monitoring.champion_at import ROLLBACK
from everfit.tasks.monitoring.triage_history import TRIAGE
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.predictions.prediction_log import MODEL_VERSION
from everfit.tasks.registry import model_registry
from everfit.tasks.rehearsal.comparison import Kind, Play
from everfit.tasks.rehearsal.measuring import LABEL, Measured, estimator_scores, mature, measure
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.training.results import Choice
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord


class LivedWindow(Record):
    """A window that was lived through.

    Attributes:
        since: Its start.
        until: Its end.
        rows: Number of predictions with a mature label.
        version: Version that predicted them; None if there was no champion.
        quality: The metric of these predictions.
        money: Their value, if the spec gives one.
        verdict: Verdict of triage at the window's end.
        turn: How the turn ended that was called then; empty without one.
    """

    since: datetime
    until: datetime
    rows: int = 0
    version: int | None = None
    quality: float | None = None
    money: float | None = None
    verdict: str = ""
    turn: str = ""


class Life(Record):
    """The deeds of a spec over the windows. A place is the number of the window before which something happened."""

    windows: tuple[LivedWindow, ...]
    first: int | None = Field(description="Place of the first release; None if no model was released.")
    choice: Choice | None = Field(default=None, description="Candidate and setting of the first model.")
    turns: tuple[int, ...] = ()
    releases: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    seconds: float = Field(default=0.0, description="Processor time of all flows.")
    notes: tuple[str, ...] = ()

    def play(self, name: str, kind: Kind, first: int) -> Play:
        """Return what the spec did from a place on, up to the end of the last window.

        Args:
            name: Name of the policy.
            kind: Its kind.
            first: The place; all places are counted from there.
        """
        lived, last = self.windows[first:], len(self.windows)

        def within(places: Sequence[int]) -> tuple[int, ...]:
            return tuple(place - first for place in places if first < place < last)

        money = tuple(window.money for window in lived)
        return Play(
            policy=name,
            kind=kind,
            quality=tuple(window.quality for window in lived),
            money=money if any(value is not None for value in money) else (),
            turns=within(self.turns),
            releases=within(self.releases),
            wrong=within(self.wrong),
            seconds=self.seconds,
        )


class LifeReader:
    """Reads what became of a life.

    Args:
        context: The model in its own workspace, ledger and registry.
        ends: Moment of the first training, and the end of each window.
        until: Labels that are known later are not used.
    """

    def __init__(self, context: Context, ends: Sequence[datetime], until: datetime) -> None:
        self.context, self.ends, self.until = context, list(ends), until
        self.spec = context.spec
        self.scorer = lru_cache(maxsize=3)(self._scorer)

    def read(self, seconds: float, notes: Sequence[str]) -> Life:
        """Return the life.

        Args:
            seconds: Processor time of its flows.
            notes: Sentences on flows that failed.
        """
        windows = tuple(self._window(place) for place in range(len(self.ends) - 1))
        places = [place for place, _ in self._releases]
        first = places[0] if places else None
        turns = [self._place(turn.window.until) for turn in self._turns if turn.trigger.kind != "waiting"]
        return Life(
            windows=windows,
            first=first,
            choice=self._first_choice(),
            turns=tuple(place for place in turns if first is not None and place > first),
            releases=tuple(places[1:]),
            wrong=tuple(self._wrong(windows)),
            seconds=seconds,
            notes=tuple(notes),
        )

    def first_release(self) -> dict[str, object]:
        """Return the place of the first release, and the candidate and setting of its model, as plain data."""
        choice = self._first_choice()
        return {
            "place": self._releases[0][0] if self._releases else None,
            "choice": None if choice is None else choice.model_dump(mode="json"),
        }

    def keep_rows(self, folder: Path) -> None:
        """Write the labelled rows of each window as Parquet, in the columns of the models.

        Args:
            folder: One file for each window, named by its place.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for place in range(len(self.ends) - 1):
            path = folder / f"{place}.parquet"
            parts = []
            for version, answers in self._answers(place):
                if len(answers.rows):
                    part = self._features(version, answers)
                    part[LABEL] = answers.rows[LABEL].to_numpy()
                    part[answers.event_time] = answers.rows[answers.event_time].to_numpy()
                    parts.append(part)
            if parts:
                pd.concat(parts, ignore_index=True).to_parquet(path, index=False)

    @cached_property
    def _turns(self) -> list[Turn]:
        return self.context.ledger.turns.of(self.spec.name)

    @cached_property
    def _releases(self) -> list[tuple[int, Release]]:
        """Return the releases that held, each with its place."""
        ledger, name = self.context.ledger, self.spec.name
        until = {turn.id: turn.window.until for turn in self._turns}
        rolled_back = {
            entry.record.get("seq"): entry.until
            for entry in ledger.decisions.of(name, kind=ROLLBACK)
            if entry.until is not None
        }
        found = []
        for release in ledger.releases.of(name):
            moment = until.get(release.turn_id or "") or rolled_back.get(release.seq)
            if release.state in {"alias_set", "verified"} and moment is not None:
                found.append((self._place(moment), release))
        return found

    def _place(self, moment: datetime) -> int:
        return next((place for place, end in enumerate(self.ends) if end >= moment), len(self.ends) - 1)

    def _first_choice(self) -> Choice | None:
        if not self._releases:
            return None
        turn = self.context.ledger.turns.find(self._releases[0][1].turn_id or "")
        record = None if turn is None else TurnRecord.readable(turn.record)
        fitted = None if record is None else record.refitted or record.fitted
        return None if fitted is None else Choice(candidate=fitted.candidate, setting=fitted.setting)

    @cached_property
    def _thresholds(self) -> dict[int, float | None]:
        found: dict[int, float | None] = {}
        for turn in self._turns:
            record = TurnRecord.readable(turn.record)
            if record.version is not None and (fitted := record.refitted or record.fitted) is not None:
                found[record.version.version] = fitted.threshold
        return found

    def _window(self, place: int) -> LivedWindow:
        since, until = self.ends[place], self.ends[place + 1]
        decision = next(
            (entry for entry in self.context.ledger.decisions.of(self.spec.name, kind=TRIAGE) if entry.until == until),
            None,
        )
        turn = next((turn for turn in self._turns if decision and turn.trigger.id == decision.id), None)
        answers = self._answers(place)
        measured, rows = self._measured(answers)
        return LivedWindow(
            since=since,
            until=until,
            rows=rows,
            version=answers[-1][0] if answers else None,
            quality=measured.quality,
            money=measured.money,
            verdict="" if decision is None else decision.verdict,
            turn="" if turn is None else turn.state,
        )

    def _measured(self, answers: Sequence[tuple[int, LabelledPredictions]]) -> tuple[Measured, int]:
        """Return the mean of the versions that answered, weighted by rows; by construction there is one."""
        found = [
            (len(one.rows), measure(self.spec, one, threshold=self._thresholds.get(version)))
            for version, one in answers
        ]
        rows = sum(count for count, _ in found)
        known = [(count, one) for count, one in found if one.quality is not None]
        if not known:
            return Measured(None, None), rows
        total = sum(count for count, _ in known)
        quality = sum(count * (one.quality or 0.0) for count, one in known) / total
        money = None if any(one.money is None for _, one in known) else sum(one.money or 0.0 for _, one in known)
        return Measured(quality, money), rows

    def _answers(self, place: int) -> list[tuple[int, LabelledPredictions]]:
        """Return the predictions of a window with a mature label, by version."""
        name, workspace = self.spec.name, self.context.workspace
        log, known = workspace.table(name, "predictions"), workspace.table(name, "labels")
        if not log.exists() or not known.exists():
            return []
        window, time = Window(since=self.ends[place], until=self.ends[place + 1]), str(self.spec.columns.event_time)
        logged = prediction_log.read(log, window, time, columns=[MODEL_VERSION])
        versions = sorted({int(version) for version in logged[MODEL_VERSION].unique()})
        return [
            (
                version,
                mature(
                    read_labelled_predictions(
                        log,
                        known,
                        window,
                        time,
                        self.until,
                        task=self.spec.task,
                        classes=[str(value) for value in self.scorer(version).classes],
                        version=version,
                        also=[column.name for column in self.scorer(version).inputs.features],
                    ),
                    self.spec,
                    self.until,
                ),
            )
            for version in versions
        ]

    def _scorer(self, version: int) -> Scorer:
        client = self.context.mlflow
        found: ModelVersion = model_registry.model_version(client, self.spec.name, version)
        return load_scorer(client, self.context.ledger, found)

    def _features(self, version: int, answers: LabelledPredictions) -> pd.DataFrame:
        inputs = self.scorer(version).inputs.model_copy(update={"key": ()})
        names = [column.name for column in inputs.features]
        return inputs.conform(answers.rows[names])[names].reset_index(drop=True)

    def _wrong(self, windows: Sequence[LivedWindow]) -> "list[int]":
        """Return the places of releases that did no better than the model before, until the next release."""
        wrong = []
        better = metric(self.spec.metric, self.spec.task)
        starts = [place for place, _ in self._releases]
        for (_, before), (place, after), end in zip(
            self._releases, self._releases[1:], [*starts[2:], len(windows)], strict=False
        ):
            gains = []
            for number in range(place, end):
                for version, answers in self._answers(number):
                    if version != after.version or not len(answers.rows):
                        continue
                    old = self.scorer(before.version)
                    known = [str(value) for value in old.classes]
                    theirs = of_classes(answers, known)
                    scores = estimator_scores(old.estimator, self._features(before.version, answers), theirs)
                    new, former = measure(self.spec, answers).quality, measure(self.spec, theirs, scores).quality
                    if new is not None and former is not None:
                        gains.append(better.gain(new, former))
            if gains and not sum(gains) > 0:
                wrong.append(place)
        return wrong


def of_classes(answers: LabelledPredictions, classes: Sequence[str]) -> LabelledPredictions:
    """Return the same rows as answers of a model with other classes.

    Args:
        answers: The rows.
        classes: Classes of the other model, in its order.
    """
    from dataclasses import replace

    return replace(answers, classes=tuple(classes))
