"""The competition of training procedures: each is fitted again and again, and judged on later rows.

A fit is spent only where it can change something. The leader is fitted again once a twentieth of its rows are new, the
others once a fifth are; until then the last model answers. An ensemble fits its members, which are not fitted again. A
procedure that is surely worse leaves, unless it learns from fewer rows than the leader does: after a change, the newest
rows may be all that counts, and few rows cost little. Where a table has many columns, the rivals have a budget.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from everfit.blocks.errors import DataError, EverfitError, TrainingError
from everfit.blocks.policy import parse_duration
from everfit.blocks.training import ENSEMBLE
from everfit.tasks.core.records import Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.statistics.dependent_rows import Rows, grouped_gain
from everfit.tasks.statistics.metrics import Floats, metric
from everfit.tasks.statistics.newest_parts import Gain, agreeing_parts
from everfit.tasks.statistics.scores import class_indices, class_list, model_scores
from everfit.tasks.training.ensemble import members_of
from everfit.tasks.training.fit_costs import FitBudget
from everfit.tasks.training.fitting import since_of
from everfit.tasks.training.in_process import FittedModel
from everfit.tasks.training.results import Choice, Fitted
from everfit.tasks.training.train import fit_model, keep_model

logger = logging.getLogger("everfit.training")

_LEAVES, _LEADS = 0.01, 0.05
"""Probability with which one of the procedures leaves, and with which one with a shorter span takes the lead, by chance
at the end of a part. To learn from less needs a proof, but not a strong one: a wrong lead costs little, for a span that
is much worse is seen to be so. A longer span takes the lead back where the shorter one is not ahead by more than one
standard error on the parts since. Among procedures that learn from as much, one takes the lead by more than one
standard
error: L. Breiman, J. Friedman, R. Olshen and C. Stone, "Classification and Regression Trees" (1984), 3.4.3."""
_NEW_SHARE, _NEW_SHARE_OF_RIVALS = 0.05, 0.2
"""A model is fitted again once this share of its procedure's rows are new: for the leader, and for the others."""

Times = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass
class _Entrant:
    """A procedure with its newest model, and its scores on each part so far."""

    choice: Choice
    model: FittedModel | None = None
    scores: list[Floats] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The length of its training span; infinite for all history."""
        span = self.choice.setting.span
        return math.inf if span == "all" else parse_duration(span).total_seconds()


class Competition:
    """Procedures that compete on one part of the rows after the other.

    Attributes:
        data: Rows of the turn.
        scratch: Path of a file that may be written and deleted.
        fits: Number of models that were fitted.
        budget: Limit of the cost of the rivals' models, and those that were left out.
    """

    def __init__(self, data: TrainingData, procedures: Sequence[Choice], scratch: str) -> None:
        self.data = data
        self.scratch = scratch
        self.fits = 0
        self.budget = FitBudget(len(data.features))
        self._first = self._leader = _Entrant(procedures[0])
        self._entrants = [self._first, *(_Entrant(choice) for choice in procedures[1:])]
        self._kept: FittedModel | None = None
        self._truth: list[Floats] = []
        self._times: list[Times] = []
        rows = data.training_rows(data.split.whole)
        self._classes = class_list(rows[data.spec.columns.target], data.spec.task)
        self._known = _nanoseconds(rows[data.spec.columns.time])

    @property
    def leader(self) -> Choice:
        """The procedure that is best by the parts so far."""
        return self._leader.choice

    def fit(self, until: datetime) -> None:
        """Fit the procedures on the rows before a moment, unless they have been fitted on these rows.

        Raises:
            TrainingError: None of them can be fitted.
        """
        window = Window(since=self.data.split.training.since, until=until)
        problems = []
        for entrant in sorted(self._entrants, key=lambda each: each.choice.candidate != ENSEMBLE):
            if not self._is_due(entrant, until) or not self._is_affordable(entrant, until):
                continue
            try:
                entrant.model = fit_model(self.data, entrant.choice, window, self.scratch)
            except Exception as problem:  # noqa: BLE001 - an estimator may raise anything; the others go on
                logger.warning("%s can't be fitted on %s: %s", entrant.choice, window, problem)
                problems.append(f"{entrant.choice}: {type(problem).__name__}: {problem}")
                self._entrants.remove(entrant)
                continue
            self.fits += 1
            self._share_members(entrant)
        if not self._entrants:
            raise TrainingError(f"no candidate could be fitted on {window}: {'; '.join(problems)}")
        if self._leader not in self._entrants:
            self._leader = self._entrants[0]
            self.fit(until)  # which gives the new leader a model of this moment
        self._entrants = [entrant for entrant in self._entrants if entrant.model is not None]

    def keep(self, path: str) -> Fitted | None:
        """Write the leader's model to the workspace, unless it is the one that was kept last."""
        entrant = self._leader
        assert entrant.model is not None  # noqa: S101 - it was fitted
        if entrant.model is self._kept:
            return None
        self._kept = entrant.model
        return keep_model(self.data, entrant.choice, entrant.model, path)

    def judge(self, part: Window) -> None:
        """Score each procedure's model on later rows, and choose the leader for the next part."""
        if len(self._entrants) < 2:
            return
        data, roles = self.data, self.data.spec.columns
        try:
            rows = data.rows(part, "compare procedures on")
        except DataError:
            return  # a part without labelled rows tells nothing
        self._truth.append(class_indices(rows[roles.target], self._classes, data.spec.task))
        self._times.append(_nanoseconds(rows[roles.time]))
        for entrant in self._entrants:
            assert entrant.model is not None  # noqa: S101 - it was fitted
            scores = model_scores(entrant.model.pipeline, rows[data.features], self._classes, data.spec.task)
            entrant.scores.append(scores)
        gains = [(entrant, self._gain_over_leader(entrant)) for entrant in self._entrants]
        ahead, stays = [], []
        for entrant, gain in gains:
            shorter = entrant.seconds < self._leader.seconds
            if self._takes_lead(entrant, gain):
                ahead.append((gain.value, entrant))
            if entrant is self._first or shorter or gain.value + gain.reach(1 - _LEAVES / len(gains)) >= 0:
                stays.append(entrant)
        if ahead:
            self._leader = max(ahead, key=lambda each: each[0])[1]
        self._entrants = stays

    def _takes_lead(self, entrant: _Entrant, gain: Gain) -> bool:
        """Return whether a procedure leads from now on, by its gain over the leader."""
        if entrant is self._leader:
            return False
        if entrant.seconds < self._leader.seconds:
            return gain.value > gain.reach(1 - _LEADS)
        return gain.value > (-gain.error if entrant.seconds > self._leader.seconds else gain.error)

    def _share_members(self, ensemble: _Entrant) -> None:
        """Give the members of an ensemble to the procedures that would fit the same."""
        fitted = ensemble.model
        if fitted is None or ensemble.choice.candidate != ENSEMBLE:
            return
        members = members_of(fitted.pipeline)
        for entrant in self._entrants:
            if entrant.choice.setting == ensemble.choice.setting and entrant.choice.candidate in members:
                entrant.model = fitted._replace(pipeline=members[entrant.choice.candidate])

    def _is_due(self, entrant: _Entrant, until: datetime) -> bool:
        """Whether a model should be fitted, rather than an earlier one used again."""
        if entrant.model is None:
            return True
        fitted_until = entrant.model.window.until
        if entrant is self._leader and self._kept is not None and entrant.model is not self._kept:
            return fitted_until < until  # it would be judged on rows by which it was chosen
        start, end = self._place(since_of(entrant.choice.setting.span, until)), self._place(until)
        seen = self._place(fitted_until)
        share = _NEW_SHARE if entrant is self._leader else _NEW_SHARE_OF_RIVALS
        return bool(end - seen >= share * (end - start))

    def _is_affordable(self, entrant: _Entrant, until: datetime) -> bool:
        """Whether the budget of the rivals allows a fit; the leader is always fitted."""
        if entrant is self._leader:
            return True
        spec, choice = self.data.spec, entrant.choice
        members = len(spec.training.members_for(spec.task)) if choice.candidate == ENSEMBLE else 1
        rows = self._place(until) - self._place(since_of(choice.setting.span, until))
        return self.budget.allows(str(choice), rows, members, is_first=entrant.model is None)

    def _place(self, moment: datetime | None) -> int:
        """Return how many rows are before a moment; 0 for the beginning."""
        return 0 if moment is None else int(np.searchsorted(self._known, pd.Timestamp(moment).value))

    def _gain_over_leader(self, entrant: _Entrant) -> Gain:
        """Return the gain over the leader on the newest parts that agree with each other."""
        leader = self._leader
        if entrant is leader:
            return Gain(0.0, 0.0)
        measured, parts = metric(self.data.spec.metric, self.data.spec.task), len(self._truth)

        def gain(newest: int, oldest: int) -> Gain | None:
            chosen = slice(parts - oldest, parts - newest)
            try:
                grouped = grouped_gain(
                    Rows(
                        measured,
                        np.concatenate(self._truth[chosen]),
                        np.concatenate(entrant.scores[chosen]),
                        np.concatenate(leader.scores[chosen]),
                        np.concatenate(self._times[chosen]),
                    )
                )
            except EverfitError:
                return None  # too few rows of a class
            return Gain(grouped.gain, grouped.standard_error, grouped.degrees_of_freedom)

        return gain(0, agreeing_parts(parts, gain)) or Gain(0.0, 0.0)


def _nanoseconds(times: pd.Series) -> Times:
    return np.asarray(times.to_numpy("datetime64[ns]").astype("int64"))
