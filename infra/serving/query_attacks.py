"""Detect query attacks: clients that probe the model instead of using its predictions.

Two patterns reveal them, which neither applications nor people show: inputs that are slightly changed copies of each
other (to find a gradient, or to steal the model), and predictions that are near the boundary between two classes again
and again (to find an input that just passes). A client is judged by its last inputs together, after S. Chen, N. Carlini
and D. Wagner, "Stateful Detection of Black-Box Adversarial Attacks" (2019), and M. Juuti, S. Szyller, S. Marchal and
N. Asokan, "PRADA: Protecting Against DNN Model Stealing Attacks" (2019).

A slightly changed copy differs in one feature, or in none by more than some per cent. The same input again is a retry
and doesn't count.
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
"""Value of the log's column `_flag`."""

_LOOKED_AT = 16  # rows per request that are inspected, so that a large request costs no more
_CLIENTS = 1_000
_NEAR_BOUNDARY = 0.05
_LEAST = 0.5  # share of a full window that is needed to judge a client


class QueryAttackError(EverfitError):
    """A client's requests look like probing, and the policy refuses such clients."""


@dataclass
class _Client:
    """Recent requests of one client.

    Attributes:
        rows: Signatures of its last inputs, and whether each was a changed copy.
        known: Number of occurrences of each signature.
        inputs: Number of occurrences of each input.
        copies: Number of changed copies.
        answers: Whether each of its last predictions was near a boundary.
        flagged_until: Time until which the client is flagged, on the detector's clock.
    """

    rows: deque[tuple[int, list[int], bool]] = field(default_factory=deque)
    known: Counter[int] = field(default_factory=Counter)
    inputs: Counter[int] = field(default_factory=Counter)
    copies: int = 0
    answers: deque[bool] = field(default_factory=deque)
    flagged_until: float = 0.0


class QueryAttackDetector:
    """Judges clients by their last inputs and predictions.

    Args:
        rows: Number of inputs and of predictions to remember.
        share: Share of changed copies, or of predictions near a boundary, from which a client is flagged.
        for_s: Seconds that a client stays flagged after its last suspicious request.
        clock: Function that returns seconds.
    """

    def __init__(self, rows: int, share: float, for_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows, self._share, self._for_s, self._clock = rows, share, for_s, clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self.flagged_rows = 0

    def add_request(self, client: str, features: Mapping[str, Sequence[Any]], rows: int) -> bool:
        """Add a request.

        Args:
            client: The client.
            features: Checked values by column.
            rows: Number of rows.

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

    def add_predictions(self, client: str, probabilities: npt.NDArray[np.float64] | None) -> None:
        """Add predictions; those of a regression have no boundary.

        Args:
            client: The client.
            probabilities: Probability of each class; shape (rows, classes). None for a regression.
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
        """Return the number of flagged clients."""
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
            for signature in signatures:  # subtracting counters would iterate over all known signatures
                left = one.known[signature] - 1
                if left:
                    one.known[signature] = left
                else:
                    del one.known[signature]
            del one.inputs[whole]
            one.copies -= copy


def _signatures(values: Sequence[Any]) -> tuple[int, list[int]]:
    """Return a number that identifies a row, and numbers that it shares with its slightly changed copies.

    The latter leave out one feature each, or round all numbers to some per cent.
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
