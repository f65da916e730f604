"""Search: which setting of a candidate does best on the folds, within so many trials and so much time."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from everfit.blocks.search import Parameters, SearchPolicy, Space
from everfit.tasks.records import Record

if TYPE_CHECKING:
    import optuna

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


class Try(Record):
    """How a setting did on the folds."""

    setting: Setting
    score: float | None = Field(description="Mean over the folds; None when it failed or was given up early.")
    folds: tuple[float, ...] = Field(default=(), description="On each fold that it came to, the oldest first.")
    seconds: float = 0.0
    error: str = ""
    pruned: bool = Field(default=False, description="Given up after the first folds, being behind the others.")


class TimeUp(Exception):  # noqa: N818 - it ends a candidate's tries, and is no error by itself
    """A candidate has had the time that it was given."""


Evaluate = Callable[[Setting], Iterator[float]]
"""Scores of a setting, fold by fold."""


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Attributes:
        policy: How many trials, and for how long.
        space: By hyperparameter.
        spans: Of history that compete, as in the spec.
        first: Settings that are tried before the search proposes any.
        seed: Of the search.
        greater_is_better: Of the scores.
        deadline: On the clock of `time.perf_counter`.
    """

    policy: SearchPolicy
    space: Mapping[str, Space]
    spans: Sequence[str]
    first: Sequence[Setting]
    seed: int
    greater_is_better: bool
    deadline: float = math.inf

    def run(self, evaluate: Evaluate, told: Callable[[int, Try], None] | None = None) -> tuple[Try, ...]:
        """Try settings until trials or time are used up; what failed is among them, with its reason.

        The same evaluations give the same tries, as long as no time runs out.

        Args:
            evaluate: Scores a setting fold by fold.
            told: Called after each try with its number and outcome.
        """
        study = self._study() if self.policy.on and self.space else None
        started, tries = time.perf_counter(), []
        for number in range(max(self.policy.trials, len(self.first)) if study else len(self.first)):
            proposed = None
            if number < len(self.first):
                setting = self.first[number]
            else:
                assert study is not None  # noqa: S101 - without one there are no tries after the first
                if time.perf_counter() - started > self.policy.time.total_seconds():
                    break
                proposed = study.ask(self._distributions())
                setting = self._setting(proposed.params)
            done = self._try(setting, evaluate, proposed)
            tries.append(done)
            if study is not None:
                self._learn(study, proposed, done)
            if told is not None:
                told(number, done)
            if time.perf_counter() > self.deadline:
                break
        return tuple(tries)

    def _try(self, setting: Setting, evaluate: Evaluate, proposed: "optuna.trial.Trial | None") -> Try:
        started, scores, error, pruned = time.perf_counter(), [], "", False
        try:
            for step, score in enumerate(evaluate(setting)):
                if not math.isfinite(score):
                    error = f"a score is {score}"
                    break
                scores.append(score)
                if time.perf_counter() > self.deadline:
                    raise TimeUp
                if proposed is not None:
                    proposed.report(sum(scores) / len(scores), step)
                    if pruned := proposed.should_prune():
                        break
        except TimeUp:
            error = "took longer than training.time_limit"
        except Exception as problem:  # noqa: BLE001 - an estimator may raise anything, and it is told in the try
            error = f"{type(problem).__name__}: {problem}"
        whole = not error and not pruned and scores
        return Try(
            setting=setting,
            score=sum(scores) / len(scores) if whole else None,
            folds=tuple(scores),
            seconds=round(time.perf_counter() - started, 3),
            error=error,
            pruned=pruned,
        )

    def _study(self) -> "optuna.Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.create_study(
            direction="maximize" if self.greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=8),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        )

    def _distributions(self) -> "dict[str, optuna.distributions.BaseDistribution]":
        found = {name: _distribution(space) for name, space in self.space.items()}
        if len(self.spans) > 1:
            found[_SPAN] = _distribution(Space(choices=tuple(self.spans)))
        return found

    def _setting(self, proposed: Mapping[str, Any]) -> Setting:
        parameters = {name: value for name, value in proposed.items() if name != _SPAN}
        return Setting(parameters=parameters, span=proposed.get(_SPAN, self.spans[0]))

    def _learn(self, study: "optuna.Study", proposed: "optuna.trial.Trial | None", done: Try) -> None:
        """Tell the study how a setting did; defaults that lie outside of its space teach it nothing."""
        import optuna

        if proposed is not None:
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


def _distribution(space: Space) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.choices:
        return CategoricalDistribution(space.choices)
    assert space.low is not None  # noqa: S101 - the space was checked when it was read
    assert space.high is not None  # noqa: S101
    if isinstance(space.low, int) and isinstance(space.high, int):
        return IntDistribution(space.low, space.high, log=space.log)
    return FloatDistribution(float(space.low), float(space.high), log=space.log)


def best_of(tries: Sequence[Try], *, greater_is_better: bool) -> Try | None:
    """The try with the best score, of equals the first; none when all failed."""
    scored = [each for each in tries if each.score is not None]
    sign = 1 if greater_is_better else -1
    return max(scored, key=lambda each: sign * (each.score or 0.0), default=None)
