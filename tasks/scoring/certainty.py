"""Say how sure answers are: the reach of their intervals or sets, and whether they are too unsure by the spec."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from everfit.blocks.serving import AbstainPolicy, ServingPolicy
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.predictions import prediction_log
from everfit.tasks.scoring.scores import Scores


@dataclass(frozen=True)
class Certainty:
    """How sure some answers are.

    Attributes:
        bounds: Half the width of each interval, or one minus the least probability in each set; None if it is not
            known. The whole is None if the spec wants none.
        abstained: Whether each answer is too unsure; None if the spec has no rule.
    """

    bounds: list[float | None] | None = None
    abstained: list[bool] | None = None

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of the prediction log; empty where the spec asks for nothing."""
        bounds = {} if self.bounds is None else {prediction_log.BOUND: self.bounds}
        return bounds if self.abstained is None else {**bounds, prediction_log.ABSTAINED: self.abstained}


UNASKED = Certainty()
"""The certainty of answers if the spec doesn't ask for it."""


@dataclass(frozen=True)
class CertaintyRules:
    """Rules for saying how sure answers are, with the bounds of each version.

    Attributes:
        policy: The policy of the spec.
        bounds: By version; a service replaces them while it runs.
    """

    policy: ServingPolicy = field(default_factory=ServingPolicy)
    bounds: dict[int, AnswerBounds] = field(default_factory=dict)

    @cached_property
    def asked(self) -> bool:
        """Whether the spec wants anything."""
        return self.policy.intervals is not None or self.policy.abstain is not None

    def of(self, scores: Scores, version: int) -> Certainty:
        """Return how sure a version's answers are."""
        return certainty_of(scores, self.policy, self.bounds.get(version)) if self.asked else UNASKED


def certainty_of(scores: Scores, policy: ServingPolicy, bounds: AnswerBounds | None) -> Certainty:
    """Return how sure answers are.

    An answer whose interval or set is not known is too unsure by a rule about them.

    Args:
        scores: The answers.
        policy: Whether the spec asks for intervals, and which answers it calls too unsure.
        bounds: Those of the version that answered; None if it has none, or they promise something else.
    """
    reaches: list[float | None] | None = None
    if policy.intervals is not None:
        usable = bounds if bounds is not None and bounds.promised == policy.intervals else None
        if usable is None or usable.bound is None:
            reaches = [None] * len(scores.values)
        elif scores.probabilities is None:
            reaches = [usable.reach(answer) for answer in scores.values.tolist()]
        else:
            reaches = [usable.bound] * len(scores.values)
    rules = policy.abstain
    return Certainty(reaches, None if rules is None else _too_unsure(scores, rules, reaches))


def _too_unsure(scores: Scores, rules: AbstainPolicy, reaches: Sequence[float | None] | None) -> list[bool]:
    if scores.probabilities is None:
        widest = rules.wider_than
        return [reach is None or (widest is not None and 2 * reach > widest) for reach in reaches or ()]
    ordered = np.sort(scores.probabilities, axis=1)
    first, second = ordered[:, -1].tolist(), ordered[:, :-1].max(axis=1, initial=0.0).tolist()
    unsure = [rules.below is not None and best < rules.below for best in first]
    if not rules.more_than_one_class or reaches is None:
        return unsure
    pairs = zip(unsure, second, reaches, strict=True)
    return [known or reach is None or in_set(chance, reach) for known, chance, reach in pairs]


def in_set(probability: float, bound: float) -> bool:
    """Return whether a class that is not the most probable one is in the set."""
    return 1 - probability <= bound


def said_of(row: Any, classes: Sequence[str], probabilities: Sequence[float] | None, bound: float | None) -> Any:
    """Return an answer's interval as its two ends, or its set of classes; None if it is not known.

    Args:
        row: The answer.
        classes: Names of the classes, in the model's order; empty for a regression.
        probabilities: The probability of each class; None for a regression.
        bound: As the prediction log has it.
    """
    if bound is None:
        return None
    if probabilities is None:
        return [row - bound, row + bound]
    best = max(probabilities)
    first = list(probabilities).index(best)
    return [
        name
        for place, (name, chance) in enumerate(zip(classes, probabilities, strict=True))
        if place == first or in_set(chance, bound)
    ]
