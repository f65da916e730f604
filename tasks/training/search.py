"""Search: which setting of a candidate does best on the folds, within so many trials and so much time."""

import math
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from pydantic import Field

from everfit.blocks.search import Parameters, SearchPolicy, Space
from everfit.tasks.core.records import Record

if TYPE_CHECKING:
    import optuna

_LEAST_BEFORE_PRUNING = 5
"""Tries on all folds, before one is given up for being behind the half of them."""

_SPAN = "training span"
"""Under this name the spans of history compete as one more parameter."""


class Setting(Record):
    """What a candidate is fitted with.

    Attributes:
        parameters: Hyperparameters that are not left at their defaults.
        span: How far back the rows go that it is fitted on, as in the spec; `all` for all history.
    """

    parameters: Parameters = Field(default_factory=dict)
    span: str = "all"


class TuningTrial(Record):
    """How a setting did on the folds."""

    setting: Setting
    score: float | None = Field(description="Mean over the folds; None when it failed or was given up early.")
    folds: tuple[float, ...] = Field(default=(), description="On each fold that it came to, the oldest first.")
    seconds: float = 0.0
    error: str = ""
    pruned: bool = Field(default=False, description="Given up after the first folds, being behind the others.")


class TuningRequest(Record):
    """A setting that is to be tried, with all that whoever tries it must know of the search.

    Attributes:
        candidate: Whose setting it is.
        number: Of the try, from 1 on.
        setting: What is tried.
        bounds: After each fold but the last, the mean that it has to reach to go on; empty where it always does.
    """

    candidate: str
    number: int
    setting: Setting
    bounds: tuple[float, ...] = ()


class TimeLimitReached(Exception):  # noqa: N818 - it ends a candidate's tries, and is no error by itself
    """A candidate has had the time that it was given."""


Evaluate = Callable[[Setting], Iterator[float]]
"""Scores of a setting, fold by fold."""

Attempt = Callable[[Sequence[TuningRequest], float], Generator[TuningTrial]]
"""Tries settings, here or elsewhere, until a deadline, and tells how they did, in their order."""


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Settings are proposed `policy.at_once` at a time, and the search learns from them when all have been tried: what it
    proposes next hangs neither on how many are tried side by side nor on which ends first.

    Attributes:
        candidate: Whose settings they are.
        policy: How many trials, and for how long.
        space: By hyperparameter.
        spans: Of history that compete, as in the spec.
        first: Settings that are tried before the search proposes any.
        seed: Of the search.
        greater_is_better: Of the scores.
        folds: How many scores each setting gets.
        deadline: On the clock of `time.perf_counter`.
    """

    candidate: str
    policy: SearchPolicy
    space: Mapping[str, Space]
    spans: Sequence[str]
    first: Sequence[Setting]
    seed: int
    greater_is_better: bool
    folds: int = 1
    deadline: float = math.inf

    def run(self, attempt: Attempt, told: Callable[[int, TuningTrial], None] | None = None) -> tuple[TuningTrial, ...]:
        """Try settings until trials or time are used up; what failed is among them, with its reason.

        The same scores give the same tries, as long as no time runs out.

        Args:
            attempt: Tries the settings that it is given.
            told: Called after each try with its number, from 0 on, and its outcome.
        """
        study = self._study() if self.policy.on and self.space else None
        in_all = max(self.policy.trials, len(self.first)) if study else len(self.first)
        started, tries = time.perf_counter(), list[TuningTrial]()
        while len(tries) < in_all:
            proposed: list[optuna.trial.Trial | None]
            if not tries:
                proposed, settings = [None] * len(self.first), list(self.first)
            else:
                assert study is not None  # noqa: S101 - without one there are no tries after the first
                asked = [study.ask(self._distributions()) for _ in range(min(self.policy.at_once, in_all - len(tries)))]
                proposed, settings = list(asked), [self._setting(each.params) for each in asked]
            bounds = () if not tries else self._bounds(tries)
            batch = [
                TuningRequest(candidate=self.candidate, number=number, setting=setting, bounds=bounds)
                for number, setting in enumerate(settings, len(tries) + 1)
            ]
            done: list[TuningTrial] = []
            with closing(
                attempt(batch, self.deadline)
            ) as outcomes:  # what is under way is waited for, also when no more is wanted
                for outcome in outcomes:
                    done.append(outcome)
                    if told is not None:
                        told(len(tries) + len(done) - 1, outcome)
                    if self._late(started, len(tries) + len(done)):
                        break
            tries += done
            if study is not None:
                for each, outcome in zip(proposed, done, strict=False):
                    self._learn(study, each, outcome)
            if len(done) < len(batch) or self._late(started, len(tries)):
                break
        return tuple(tries)

    def _late(self, started: float, tried: int) -> bool:
        now = time.perf_counter()
        searching = tried >= len(self.first)  # the first settings have all of the candidate's time
        return now > self.deadline or (searching and now - started > self.policy.time.total_seconds())

    def _bounds(self, tries: Sequence[TuningTrial]) -> tuple[float, ...]:
        """The median of what the tries before had after each fold but the last; none before there are a few."""
        whole = [each.folds for each in tries if each.score is not None]
        if len(whole) < _LEAST_BEFORE_PRUNING:
            return ()
        return tuple(median(fmean(folds[:step]) for folds in whole) for step in range(1, self.folds))

    def _study(self) -> "optuna.Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.create_study(
            direction="maximize" if self.greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=8),
        )

    def _distributions(self) -> "dict[str, optuna.distributions.BaseDistribution]":
        found = {name: _distribution(space) for name, space in self.space.items()}
        if len(self.spans) > 1:
            found[_SPAN] = _distribution(Space(choices=tuple(self.spans)))
        return found

    def _setting(self, proposed: Mapping[str, Any]) -> Setting:
        parameters = {name: value for name, value in proposed.items() if name != _SPAN}
        return Setting(parameters=parameters, span=proposed.get(_SPAN, self.spans[0]))

    def _learn(self, study: "optuna.Study", proposed: "optuna.trial.Trial | None", done: TuningTrial) -> None:
        """Tell the study how a setting did; defaults that lie outside of its space teach it nothing."""
        import optuna

        if proposed is not None:
            for step in range(len(done.folds)):
                proposed.report(fmean(done.folds[: step + 1]), step)  # of what was given up early this is all there is
            state = optuna.trial.TrialState
            failed = state.PRUNED if done.pruned else state.FAIL
            study.tell(proposed, done.score, state=None if done.score is not None else failed)
            return
        values: dict[str, Any] = dict(done.setting.parameters)
        if len(self.spans) > 1:
            values[_SPAN] = done.setting.span
        distributions = self._distributions()
        if done.score is None or set(values) != set(distributions):
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of being experimental
                study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=done.score))
        except ValueError:  # one of the values lies outside
            return


def score_setting(
    asked: TuningRequest, evaluate: Evaluate, *, greater_is_better: bool, deadline: float = math.inf
) -> TuningTrial:
    """Try a setting on the folds, as far as it goes.

    Args:
        asked: The setting, and the bounds below which it is given up.
        evaluate: Scores a setting fold by fold.
        greater_is_better: Of the scores.
        deadline: On the clock of `time.perf_counter`.
    """
    started, scores, error, pruned = time.perf_counter(), list[float](), "", False
    sign = 1 if greater_is_better else -1
    try:
        for score in evaluate(asked.setting):
            if not math.isfinite(score):
                error = f"a score is {score}"
                break
            scores.append(score)
            if time.perf_counter() > deadline:
                raise TimeLimitReached
            if len(scores) <= len(asked.bounds) and sign * (fmean(scores) - asked.bounds[len(scores) - 1]) < 0:
                pruned = True
                break
    except TimeLimitReached:
        error = "took longer than training.time_limit"
    except Exception as problem:  # noqa: BLE001 - an estimator may raise anything, and it is reported in the try
        error = f"{type(problem).__name__}: {problem}"
    return TuningTrial(
        setting=asked.setting,
        score=fmean(scores) if scores and not error and not pruned else None,
        folds=tuple(scores),
        seconds=round(time.perf_counter() - started, 3),
        error=error,
        pruned=pruned,
    )


def _distribution(space: Space) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.choices:
        return CategoricalDistribution(space.choices)
    assert space.low is not None  # noqa: S101 - the space was checked when it was read
    assert space.high is not None  # noqa: S101
    if isinstance(space.low, int) and isinstance(space.high, int):
        return IntDistribution(space.low, space.high, log=space.log)
    return FloatDistribution(float(space.low), float(space.high), log=space.log)


def best_of(tries: Sequence[TuningTrial], *, greater_is_better: bool) -> TuningTrial | None:
    """The try with the best score, of equals the first; none when all failed."""
    scored = [each for each in tries if each.score is not None]
    sign = 1 if greater_is_better else -1
    return max(scored, key=lambda each: sign * (each.score or 0.0), default=None)
