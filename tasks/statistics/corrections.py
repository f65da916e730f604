"""Correct a model's scores by a few numbers: its threshold, the odds of its classes, or the scale of its answers.

A correction is linear on the scale where a model's evidence adds up: in the log odds of two classes, in the logarithms
of several classes' probabilities, and in a regression's answers. Y. Vergouwe et al., "A closed testing procedure to
select an appropriate method for updating prediction models", Statistics in Medicine 36 (2017); for the shift of the
classes' shares: M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14 (2002).
"""

from collections.abc import Callable
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import FiniteFloat

from everfit.tasks.core.records import Record
from everfit.tasks.statistics.metrics import Metric

Floats = npt.NDArray[np.float64]

EDGE = 1e-6
"""Probabilities are kept this far from 0 and 1, where log odds are infinite."""
LEAST_ROWS, LEAST_OF_CLASS = 50, 10
"""With fewer rows, or fewer of a class, nothing is corrected."""
_CUTS = 99
_EXPLAINED = 0.05
"""The classes' shares explain a shift unless the labels contradict it at this level."""
_ONE_SIDED = frozenset({"precision", "recall"})
"""They are best where one class is never, or always, predicted, so no threshold is fitted to them."""


class Correction(Record):
    """Numbers that correct scores.

    Attributes:
        link: The scale on which it is linear: `logit` for two classes, `log` for more, `identity` for a regression.
        slope: Factor of the score on that scale.
        shifts: Numbers to add to it: one, or one for each class.
    """

    link: Literal["logit", "log", "identity"]
    slope: FiniteFloat = 1.0
    shifts: tuple[FiniteFloat, ...]

    def apply(self, scores: Floats) -> Floats:
        """Return the corrected scores; same shape.

        Args:
            scores: Probabilities of the second class, shape (rows,); of each class, shape (rows, classes); or answers.

        Example:
            >>> Correction(link="logit", shifts=(np.log(3),)).apply(np.array([0.5])).round(3).tolist()
            [0.75]
        """
        if self.link == "identity":
            return np.asarray(self.slope * scores + self.shifts[0])
        from scipy.special import expit, log_softmax

        if self.link == "logit":
            return np.asarray(expit(self.slope * _log_odds(scores) + self.shifts[0]))
        return np.asarray(np.exp(log_softmax(self.slope * np.log(_inside(scores)) + self.shifts, axis=1)))

    def after(self, first: Self | None) -> Self:
        """Return one correction that does as another one and then this."""
        if first is None:
            return self
        shifts = tuple(float(self.slope * old + new) for old, new in zip(first.shifts, self.shifts, strict=True))
        return self.model_copy(update={"slope": self.slope * first.slope, "shifts": shifts})

    def __str__(self) -> str:
        shifts = ", ".join(f"{shift:+.3g}" for shift in self.shifts)
        scale = {"logit": "the log odds", "log": "the logarithms of the probabilities", "identity": "the answer"}
        times = "" if self.slope == 1 else f"{self.slope:.3g} times "
        return f"{times}{scale[self.link]} {shifts}"


def corrections_for(metric: Metric, classes: int) -> tuple[str, ...]:
    """Return the names of the corrections that can change a metric's value, the smallest first.

    Args:
        metric: The metric.
        classes: Number of the classes; 0 for a regression.
    """
    if metric.facts.reads == "order":
        return ()  # which a correction hardly changes
    if classes == 0:
        return ("intercept", "recalibration")
    by_class = metric.facts.reads == "class" and metric.name not in _ONE_SIDED
    threshold = ("threshold",) if classes == 2 and by_class else ()
    return (*threshold, "prior_shift", "intercept", "recalibration")


def fit_correction(
    name: str, truth: Floats, scores: Floats, metric: Metric, shares: Floats | None
) -> Correction | None:
    """Fit a correction on rows that the model has not been trained on; None if they can't tell it.

    Args:
        name: One of `corrections_for`.
        truth: Positions of the classes, or values; shape (rows,).
        scores: As the model has them; shape (rows,) or (rows, classes).
        metric: The spec's metric.
        shares: Share of each class in the model's training; None for a regression.
    """
    if truth.size < LEAST_ROWS or not np.isfinite(scores).all():
        return None
    if shares is None:
        return _of_answers(name, truth, scores, metric)
    counts = np.bincount(truth.astype(np.int64), minlength=shares.size)
    if counts.min() < LEAST_OF_CLASS:
        return None
    fits: dict[str, Callable[[], Correction | None]] = {
        "threshold": lambda: _threshold(truth, scores, metric),
        "prior_shift": lambda: _prior_shift(truth, scores, counts / truth.size, shares),
        "intercept": lambda: _by_likelihood(truth, scores, sloped=False),
        "recalibration": lambda: _by_likelihood(truth, scores, sloped=True),
    }
    return fits[name]()


def _of_answers(name: str, truth: Floats, answers: Floats, metric: Metric) -> Correction | None:
    centre = np.median if metric.facts.reads == "median" else np.mean
    slope = 1.0
    if name == "recalibration":
        spread = float(np.var(answers))
        if spread == 0:
            return None
        slope = float(np.mean((answers - answers.mean()) * (truth - truth.mean()))) / spread
    return Correction(link="identity", slope=slope, shifts=(float(centre(truth - slope * answers)),))


def _threshold(truth: Floats, scores: Floats, metric: Metric) -> Correction:
    """Return the shift that makes the best threshold the middle, from which on everfit predicts the second class."""
    cuts = np.unique(np.append(np.quantile(scores, np.linspace(0.01, 0.99, _CUTS)), 0.5))
    sign = 1 if metric.greater_is_better else -1
    values = [sign * metric.score(truth, np.where(scores >= cut, 1.0, 0.0)) for cut in cuts]
    return Correction(link="logit", shifts=(-float(_log_odds(cuts[int(np.argmax(values))])),))


def _prior_shift(truth: Floats, scores: Floats, now: Floats, then: Floats) -> Correction | None:
    """Return the shift of the odds by which the classes became more frequent; None if the labels contradict it."""
    if then.min() <= 0:
        return None
    from scipy.stats import chi2

    ratio = np.log(now / then)
    shifts = (float(ratio[1] - ratio[0]),) if scores.ndim == 1 else tuple(float(part) for part in ratio - ratio.mean())
    shifted = Correction(link="logit" if scores.ndim == 1 else "log", shifts=shifts)
    freest = _by_likelihood(truth, scores, sloped=False)
    apart = 2 * (_likelihood(truth, freest.apply(scores)) - _likelihood(truth, shifted.apply(scores)))
    return shifted if chi2.sf(apart, df=len(now) - 1) > _EXPLAINED else None


def _by_likelihood(truth: Floats, scores: Floats, *, sloped: bool) -> Correction:
    """Return the most likely shift of the log odds, and the slope if wanted."""
    from scipy.optimize import minimize

    link: Literal["logit", "log"] = "logit" if scores.ndim == 1 else "log"
    count = 1 if scores.ndim == 1 else scores.shape[1]

    def correction(values: Floats) -> Correction:
        slope, shifts = (float(values[0]), values[1:]) if sloped else (1.0, values)
        centred = shifts - (shifts.mean() if count > 1 else 0.0)  # a constant added to all classes changes nothing
        return Correction(link=link, slope=slope, shifts=tuple(float(shift) for shift in centred))

    start = np.append([1.0] if sloped else [], np.zeros(count))
    found = minimize(lambda values: -_likelihood(truth, correction(values).apply(scores)) / truth.size, start)
    return correction(np.asarray(found.x, dtype=np.float64))


def _likelihood(truth: Floats, scores: Floats) -> float:
    known = scores[np.arange(truth.size), truth.astype(np.int64)] if scores.ndim > 1 else np.abs(1 - truth - scores)
    return float(np.log(np.maximum(known, EDGE)).sum())


def _inside(scores: Floats) -> Floats:
    return np.asarray(EDGE + (1 - 2 * EDGE) * scores)


def _log_odds(scores: npt.ArrayLike) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(_inside(np.asarray(scores, dtype=np.float64))))
