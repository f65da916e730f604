"""Search for the setting of a candidate that scores best on the folds, within a number of trials and a time limit."""

import math
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from pydantic import Field

from everfit.blocks.errors import EverfitError
from everfit.blocks.search import Parameters, SearchPolicy, Space
from everfit.tasks.core.records import Record

if TYPE_CHECKING:
    import optuna

_LEAST_BEFORE_PRUNING = 5
"""Number of complete trials before one may be pruned for scoring below their median."""

_SPAN = "training span"
"""Name of the parameter by which the spans of history compete."""


class Setting(Record):
    """Hyperparameters and history that a candidate is fitted with.

    Attributes:
        parameters: Hyperparameters that differ from the defaults.
        span: Length of the history to fit on, as in the spec; `all` for all history.
    """

    parameters: Parameters = Field(default_factory=dict)
    span: str = "all"


class TuningTrial(Record):
    """Result of one setting on the folds."""

    setting: Setting
    score: float | None = Field(description="Mean over the folds; None if the trial failed or was pruned.")
    folds: tuple[float, ...] = Field(default=(), description="Score of each completed fold, the oldest first.")
    seconds: float = 0.0
    error: str = ""
    pruned: bool = Field(default=False, description="Stopped after the first folds for scoring below the others.")


class TuningRequest(Record):
    """A request to try one setting, wherever it is run.

    Attributes:
        candidate: Name of the candidate.
        number: Number of the trial, from 1 on.
        setting: The setting to try.
        bounds: For each fold but the last, the mean score that the trial must reach to go on; empty without pruning.
    """

    candidate: str
    number: int
    setting: Setting
    bounds: tuple[float, ...] = ()


class TimeLimitReached(Exception):  # noqa: N818 - it ends a candidate's trials and is no error by itself
    """A candidate has used up its time."""


Evaluate = Callable[[Setting], Iterator[float]]
"""Function that scores a setting fold by fold."""

Attempt = Callable[[Sequence[TuningRequest], float], Generator[TuningTrial]]
"""Function that tries settings, here or elsewhere, until a deadline, and yields their results in order."""


@dataclass(frozen=True)
class Search:
    """Search of one candidate's settings.

    Settings are proposed `policy.at_once` at a time, and the search learns from them after all are tried. Its next
    proposals therefore depend neither on how many trials run in parallel nor on which ends first.

    Attributes:
        candidate: Name of the candidate.
        policy: Number of trials and time limit.
        space: Space of each hyperparameter.
        spans: Spans of history that compete, as in the spec.
        first: Settings to try before the search proposes any.
        seed: Seed of the sampler.
        greater_is_better: Whether a greater score is better.
        folds: Number of scores per setting.
        deadline: Time on the clock of `time.perf_counter`.
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

    def run(
        self, attempt: Attempt, on_trial: Callable[[int, TuningTrial], None] | None = None
    ) -> tuple[TuningTrial, ...]:
        """Try settings until the trials or the time are used up.

        The same scores give the same trials, as long as the time suffices.

        Args:
            attempt: Function that tries settings.
            on_trial: Function to call after each trial with its number, from 0 on, and its result.

        Returns:
            All trials in order; a failed one carries its error.
        """
        study = self._study() if self.policy.on and self.space else None
        total = max(self.policy.trials, len(self.first)) if study else len(self.first)
        started, trials = time.perf_counter(), list[TuningTrial]()
        while len(trials) < total:
            proposed: list[optuna.trial.Trial | None]
            if not trials:
                proposed, settings = [None] * len(self.first), list(self.first)
            else:
                assert study is not None  # noqa: S101 - without a study all settings are in the first batch
                count = min(self.policy.at_once, total - len(trials))
                suggestions = [study.ask(self._distributions()) for _ in range(count)]
                proposed, settings = list(suggestions), [self._setting(trial.params) for trial in suggestions]
            bounds = () if not trials else self._bounds(trials)
            requests = [
                TuningRequest(candidate=self.candidate, number=number, setting=setting, bounds=bounds)
                for number, setting in enumerate(settings, len(trials) + 1)
            ]
            done: list[TuningTrial] = []
            with closing(attempt(requests, self.deadline)) as results:  # closing waits for the trials that still run
                for trial in results:
                    done.append(trial)
                    if on_trial is not None:
                        on_trial(len(trials) + len(done) - 1, trial)
                    if self._late(started, len(trials) + len(done)):
                        break
            trials += done
            if study is not None:
                for suggestion, trial in zip(proposed, done, strict=False):
                    self._learn(study, suggestion, trial)
            if len(done) < len(requests) or self._late(started, len(trials)):
                break
        return tuple(trials)

    def _late(self, started: float, tried: int) -> bool:
        now = time.perf_counter()
        searching = tried >= len(self.first)  # the first settings may use all of the candidate's time
        return now > self.deadline or (searching and now - started > self.policy.time.total_seconds())

    def _bounds(self, trials: Sequence[TuningTrial]) -> tuple[float, ...]:
        """Return the median score of earlier trials after each fold but the last; empty if there are too few trials."""
        complete = [trial.folds for trial in trials if trial.score is not None]
        if len(complete) < _LEAST_BEFORE_PRUNING:
            return ()
        return tuple(median(fmean(folds[:step]) for folds in complete) for step in range(1, self.folds))

    def _study(self) -> "optuna.Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.create_study(
            direction="maximize" if self.greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=8),
        )

    def _distributions(self) -> "dict[str, optuna.distributions.BaseDistribution]":
        distributions = {name: _distribution(space) for name, space in self.space.items()}
        if len(self.spans) > 1:
            distributions[_SPAN] = _distribution(Space(choices=tuple(self.spans)))
        return distributions

    def _setting(self, proposed: Mapping[str, Any]) -> Setting:
        parameters = {name: value for name, value in proposed.items() if name != _SPAN}
        return Setting(parameters=parameters, span=proposed.get(_SPAN, self.spans[0]))

    def _learn(self, study: "optuna.Study", proposed: "optuna.trial.Trial | None", done: TuningTrial) -> None:
        """Report a trial to the study; settings outside the search space are skipped."""
        import optuna

        if proposed is not None:
            for step in range(len(done.folds)):
                proposed.report(fmean(done.folds[: step + 1]), step)  # a pruned trial has no other score
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
                warnings.simplefilter("ignore")  # create_trial is experimental
                study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=done.score))
        except ValueError:  # a value is outside the space
            return


def score_setting(
    request: TuningRequest, evaluate: Evaluate, *, greater_is_better: bool, deadline: float = math.inf
) -> TuningTrial:
    """Try a setting on the folds until it is complete, fails, is pruned or reaches the deadline.

    Args:
        request: The setting, and the bounds below which it is pruned.
        evaluate: Function that scores a setting fold by fold.
        greater_is_better: Whether a greater score is better.
        deadline: Time on the clock of `time.perf_counter`.

    Returns:
        The result of the setting.
    """
    started, scores, error, pruned = time.perf_counter(), list[float](), "", False
    sign = 1 if greater_is_better else -1
    try:
        for score in evaluate(request.setting):
            if not math.isfinite(score):
                error = f"a score is {score}"
                break
            scores.append(score)
            if time.perf_counter() > deadline:
                raise TimeLimitReached
            if len(scores) <= len(request.bounds) and sign * (fmean(scores) - request.bounds[len(scores) - 1]) < 0:
                pruned = True
                break
    except TimeLimitReached:
        error = "took longer than training.time_limit"
    except Exception as problem:  # noqa: BLE001 - an estimator may raise anything; the trial carries it
        error = str(problem) if isinstance(problem, EverfitError) else _first_line(problem)
    return TuningTrial(
        setting=request.setting,
        score=fmean(scores) if scores and not error and not pruned else None,
        folds=tuple(scores),
        seconds=round(time.perf_counter() - started, 3),
        error=error,
        pruned=pruned,
    )


def _first_line(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0]}" if lines else type(problem).__name__


def _distribution(space: Space) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.choices:
        return CategoricalDistribution(space.choices)
    assert space.low is not None  # noqa: S101 - the spec's validation has checked it
    assert space.high is not None  # noqa: S101
    if isinstance(space.low, int) and isinstance(space.high, int):
        return IntDistribution(space.low, space.high, log=space.log)
    return FloatDistribution(float(space.low), float(space.high), log=space.log)


def best_of(trials: Sequence[TuningTrial], *, greater_is_better: bool) -> TuningTrial | None:
    """Return the trial with the best score, the first of equals, or None if all failed."""
    scored = [trial for trial in trials if trial.score is not None]
    sign = 1 if greater_is_better else -1
    return max(scored, key=lambda trial: sign * (trial.score or 0.0), default=None)
