"""Judge the training procedure as it would have been used: fitted again and again, each time on all rows before.

A release of a challenger releases a procedure: candidate, setting and training span, chosen and fitted on what is
known by then. The hold-out is therefore cut by `split.refits`. At the start of each part the procedures compete on the
parts before, the best one is fitted on all rows before, and is judged on the part: A. P. Dawid, "Present position and
potential developments: some personal views: statistical theory: the prequential approach", Journal of the Royal
Statistical Society A 147 (1984). No model is chosen by, or fitted on, a row that it is judged on.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np
import pandas as pd

from everfit.blocks.errors import DataError, EverfitError, TrainingError
from everfit.tasks.core.records import Window
from everfit.tasks.data.split import Sample, TrainingData
from everfit.tasks.statistics.dependent_rows import Rows, grouped_gain
from everfit.tasks.statistics.metrics import Floats, metric
from everfit.tasks.statistics.newest_parts import Gain, agreeing_parts
from everfit.tasks.statistics.scores import class_indices, class_list, model_scores
from everfit.tasks.training.results import CandidateResult, Choice, Fitted, read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.spans import competing_spans
from everfit.tasks.training.train import fit_best, fit_on, ranked

logger = logging.getLogger("everfit.training")

_MOST = 5
"""Number of procedures that compete; the others are not worth their time."""
_ERROR = 0.01
"""Probability with which one of the procedures takes the lead by chance at the end of a part. None is dropped: what is
worse on old rows may be the best on those after a change."""


def fit_prequentially(
    data: TrainingData, results: Sequence[CandidateResult], path: str, former: Sequence[Choice] = ()
) -> Fitted:
    """Fit the procedure at the start of the hold-out and again within it, as `data.split` says.

    Args:
        data: Rows of the turn.
        results: Results of the candidates on the training rows.
        path: Path in the workspace for the newest of the models.
        former: Procedures of earlier champions, which compete as well.

    Returns:
        The newest model, with the earlier ones, and with the procedure that did best on the newest rows.

    Raises:
        TrainingError: No candidate could be fitted.
    """
    split = data.split
    if isinstance(split.holdout, Sample) or split.holdout.since is None:
        return fit_best(data, results, split.training, path)
    starts = [*([split.chosen_from] if split.chosen_from else []), split.holdout.since, *split.refits]
    competition = _Competition(data, _procedures(data, results, former))
    chain: list[Fitted] = []
    for number, (start, end) in enumerate(pairwise([*starts, split.holdout.until])):
        last = number == len(starts) - 1
        fitted = competition.fit(start, lambda rank, number=number: f"{path}.{number}-{rank}")  # type: ignore[misc]
        if start >= split.holdout.since:
            name = path if last else path.replace(".skops", f"-{len(chain) + 1}.skops")
            data.workspace.write(name, data.workspace.read(fitted.path))
            chain.append(fitted.model_copy(update={"path": name}))
        competition.judge(Window(since=start, until=end))
    competition.clean_up()
    best = competition.leader
    logger.info("of %d procedures, %s did best on the newest rows", len(competition.scores), best)
    return chain[-1].model_copy(update={"earlier": tuple(chain[:-1]), "best": best})


def _procedures(data: TrainingData, results: Sequence[CandidateResult], former: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the procedures that compete, the best by the training rows first: it on each span, then the others."""
    best, *others = ranked(results)
    spans = competing_spans(data)
    first = Choice(candidate=best.candidate, setting=best.setting)
    shorter = [
        Choice(candidate=best.candidate, setting=Setting(parameters=best.setting.parameters, span=span))
        for span in spans
        if span != best.setting.span
    ]
    rest = [Choice(candidate=other.candidate, setting=other.setting) for other in others]
    known = {result.candidate for result in results}
    every = [first, *shorter, *rest[:1], *(choice for choice in former if choice.candidate in known)]
    return tuple({choice.canonical_json(): choice for choice in every}.values())[:_MOST]


class _Competition:
    """Procedures that compete on one part of the rows after the other.

    Attributes:
        leader: The procedure that is best by the parts so far.
        scores: By procedure, its scores on each part since the first.
    """

    def __init__(self, data: TrainingData, procedures: Sequence[Choice]) -> None:
        self.data = data
        self.leader = procedures[0]
        self.scores: dict[str, list[Floats]] = {choice.canonical_json(): [] for choice in procedures}
        self._choices = {choice.canonical_json(): choice for choice in procedures}
        self._fitted: dict[str, Fitted] = {}
        self._files: list[str] = []
        self._truth: list[Floats] = []
        self._times: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        target = data.training_rows(data.split.whole)[data.spec.columns.target]
        self._classes = class_list(target, data.spec.task)

    def fit(self, until: datetime, path: Callable[[int], str]) -> Fitted:
        """Fit each procedure on the rows before a moment, and return the leader's model.

        Raises:
            TrainingError: None of them can be fitted.
        """
        self._fitted = {}
        window = Window(since=self.data.split.training.since, until=until)
        for rank, (name, choice) in enumerate(self._choices.items()):
            if name not in self.scores:
                continue
            try:
                fitted = fit_on(self.data, choice.candidate, window, path(rank), choice.setting)
            except Exception as problem:  # noqa: BLE001 - an estimator may raise anything; the others go on
                logger.warning("%s can't be fitted on %s: %s", choice, window, problem)
                self._drop(name)
                continue
            self._fitted[name] = fitted
            self._files.append(fitted.path)
        if not self._fitted:
            raise TrainingError(f"no candidate could be fitted on {window}")
        if self.leader.canonical_json() not in self._fitted:
            self.leader = self._choices[next(iter(self._fitted))]
        return self._fitted[self.leader.canonical_json()]

    def judge(self, part: Window) -> None:
        """Score each procedure's model on later rows, and choose the leader for the next part."""
        if len(self._fitted) < 2:
            return
        data, roles = self.data, self.data.spec.columns
        try:
            rows = data.rows(part, "compare procedures on")
        except DataError:
            return  # a part without labelled rows tells nothing
        self._truth.append(class_indices(rows[roles.target], self._classes, data.spec.task))
        self._times.append(rows[roles.time].to_numpy("datetime64[ns]").astype("int64"))
        for name, fitted in self._fitted.items():
            self.scores[name].append(self._scored(fitted, rows))
        gains = {name: self._gain_over_leader(name) for name in list(self._fitted)}
        confidence = 1 - _ERROR / len(gains)
        sure = {name: gain.value - gain.reach(confidence) for name, gain in gains.items()}
        best = max(sure, key=lambda name: sure[name])
        if sure[best] > 0:
            self.leader = self._choices[best]

    def clean_up(self) -> None:
        """Delete the files of the models."""
        for path in self._files:
            self.data.workspace.delete(path)

    def _scored(self, fitted: Fitted, rows: pd.DataFrame) -> Floats:
        model = read_model(fitted, self.data.workspace)
        return model_scores(model, rows[list(fitted.features)], self._classes, self.data.spec.task)

    def _drop(self, name: str) -> None:
        if name in self.scores and len(self.scores) > 1:
            del self.scores[name]

    def _gain_over_leader(self, name: str) -> Gain:
        """Return the gain over the leader on the newest parts that agree with each other."""
        leader = self.leader.canonical_json()
        if name == leader:
            return Gain(0.0, 0.0)
        measured, parts = metric(self.data.spec.metric, self.data.spec.task), len(self._truth)

        def gain(newest: int, oldest: int) -> Gain | None:
            chosen = slice(parts - oldest, parts - newest)
            try:
                grouped = grouped_gain(
                    Rows(
                        measured,
                        np.concatenate(self._truth[chosen]),
                        np.concatenate(self.scores[name][chosen]),
                        np.concatenate(self.scores[leader][chosen]),
                        np.concatenate(self._times[chosen]),
                    )
                )
            except EverfitError:
                return None  # too few rows of a class
            return Gain(grouped.gain, grouped.standard_error, grouped.degrees_of_freedom)

        return gain(0, agreeing_parts(parts, gain)) or Gain(0.0, 0.0)
