"""Probing: a client that asks less for answers than for how the model answers.

Two habits give it away, as neither an application nor a person has them: inputs that are each a little changed copy of
another one (to find a gradient, or to steal the model), and answers that lie near the boundary between two classes
again and again (to find an input that just passes). A client is judged by its last inputs and not by one of them,
after S. Chen, N. Carlini and D. Wagner, "Stateful Detection of Black-Box Adversarial Attacks" (2019), and M. Juuti,
S. Szyller, S. Marchal and N. Asokan, "PRADA: Protecting Against DNN Model Stealing Attacks" (2019).

A copy that is little changed differs in one feature, or in none by more than some per cent. The same input again is no
probing but a retry, and counts for nothing.
"""

import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import EverfitError

PROBING = "probing"
"""What is in the log's column `_flag`."""

_LOOKED_AT = 16  # rows of one request, so that a large one costs no more
_CLIENTS = 1_000
_NEAR_BOUNDARY = 0.05
_LEAST = 0.5  # of a full window, before a client is judged


class QueryAttackError(EverfitError):
    """A client's requests look like probing, and the spec says to refuse such."""


@dataclass
class _Client:
    """What is remembered of one client.

    Attributes:
        rows: Signatures of its last inputs, and whether each was a changed copy.
        known: How often each signature is among them.
        inputs: How often each input is among them.
        copies: How many of them were changed copies.
        answers: Whether each of its last answers lay near a boundary.
        flagged_until: By the clock.
    """

    rows: deque[tuple[int, list[int], bool]] = field(default_factory=deque)
    known: Counter[int] = field(default_factory=Counter)
    inputs: Counter[int] = field(default_factory=Counter)
    copies: int = 0
    answers: deque[bool] = field(default_factory=deque)
    flagged_until: float = 0.0


class QueryAttackDetector:
    """Judges clients by their last inputs and answers.

    Args:
        rows: How many of them.
        share: Of these, from which on changed copies, or answers near a boundary, are too many.
        for_s: How long a client stays flagged after that was last so.
        clock: Gives seconds.
    """

    def __init__(self, rows: int, share: float, for_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows, self._share, self._for_s, self._clock = rows, share, for_s, clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self.flagged_rows = 0

    def asks(self, client: str, features: Mapping[str, Sequence[Any]], rows: int) -> bool:
        """Take a request into account.

        Args:
            client: The caller.
            features: Checked values by column.
            rows: How many.

        Returns:
            Whether the client is flagged.
        """
        one = self._clients.get(client)
        if one is None:
            one = self._clients[client] = _Client()
            if len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(client)
        step = -(-rows // _LOOKED_AT)
        columns = list(features.values())
        for row in range(0, rows, step):
            self._note(one, [values[row] for values in columns])
        if one.copies >= self._share * self._rows and len(one.rows) >= _LEAST * self._rows:
            one.flagged_until = self._clock() + self._for_s
        flagged = one.flagged_until > self._clock()
        self.flagged_rows += rows if flagged else 0
        return flagged

    def answered(self, client: str, probabilities: npt.NDArray[np.float64] | None) -> None:
        """Take answers into account; numbers have no boundary.

        Args:
            client: The caller.
            probabilities: Of each class, shape (rows, classes).
        """
        one = self._clients.get(client)
        if one is None or probabilities is None or not len(probabilities):
            return
        looked_at = probabilities[:: -(-len(probabilities) // _LOOKED_AT)]
        best = np.sort(looked_at, axis=1)
        one.answers.extend(((best[:, -1] - best[:, -2]) < 2 * _NEAR_BOUNDARY).tolist())
        while len(one.answers) > self._rows:
            one.answers.popleft()
        if len(one.answers) >= self._rows and sum(one.answers) >= self._share * self._rows:
            one.flagged_until = self._clock() + self._for_s

    @property
    def flagged(self) -> int:
        """How many clients are flagged now."""
        now = self._clock()
        return sum(one.flagged_until > now for one in list(self._clients.values()))

    def _note(self, one: _Client, values: list[Any]) -> None:
        whole, signatures = _signatures(values)
        if one.inputs[whole]:
            return  # a retry
        copy = not one.known.keys().isdisjoint(signatures)
        one.rows.append((whole, signatures, copy))
        one.known.update(signatures)
        one.inputs[whole] += 1
        one.copies += copy
        if len(one.rows) > self._rows:
            whole, signatures, copy = one.rows.popleft()
            for signature in signatures:  # taking one counter from another would go through all that are known
                left = one.known[signature] - 1
                if left:
                    one.known[signature] = left
                else:
                    del one.known[signature]
            del one.inputs[whole]
            one.copies -= copy


def _signatures(values: Sequence[Any]) -> tuple[int, list[int]]:
    """A number that is the same for the same row, and those that it shares with its little changed copies.

    Without one feature each, and with all numbers as coarse as some per cent.
    """
    parts = [hash((place, value)) for place, value in enumerate(values)]
    whole = sum(parts)
    coarse = hash(tuple(map(_coarse, values)))
    return whole, [*(hash((place, whole - part)) for place, part in enumerate(parts)), coarse]


def _coarse(value: Any) -> Any:
    if type(value) is not float or value == 0:
        return value
    fraction, exponent = math.frexp(value)
    return exponent, int(fraction * 64)
