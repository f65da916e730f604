"""Detect query attacks: clients that probe the model instead of using its predictions.

Two patterns reveal them, which neither applications nor people show: inputs that are slightly changed copies of each
other (to find a gradient, or to steal the model), and predictions that are near the boundary between two classes again
and again (to find an input that just passes). A client is judged by its last inputs together, after S. Chen, N. Carlini
and D. Wagner, "Stateful Detection of Black-Box Adversarial Attacks" (2019), and M. Juuti, S. Szyller, S. Marchal and
N. Asokan, "PRADA: Protecting Against DNN Model Stealing Attacks" (2019).

A slightly changed copy differs in one feature, or in none by more than some per cent. The same input again is a retry
and doesn't count.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
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
        rows: Number of each of its last inputs, its signatures, and whether it was a changed copy.
        known: Which of them had a signature last, counted from the first input of all.
        inputs: Numbers of the last inputs.
        noted: How many inputs were ever noted.
        copies: Number of changed copies.
        answers: Whether each of its last predictions was near a boundary.
        flagged_until: Time until which the client is flagged, on the detector's clock.
    """

    rows: deque[tuple[int, list[int], bool]] = field(default_factory=deque)
    known: dict[int, int] = field(default_factory=dict)
    inputs: set[int] = field(default_factory=set)
    noted: int = 0
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

    def add_request(
        self, client: str, features: Mapping[str, Sequence[Any]], rows: int, numbers: Collection[str]
    ) -> bool:
        """Add a request.

        Args:
            client: The client.
            features: Checked values by column.
            rows: Number of rows.
            numbers: Columns whose values are floats or None.

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
        looked_at = {name: values[::step] for name, values in features.items()}
        for values, coarse in zip(zip(*looked_at.values(), strict=True), _coarse(looked_at, numbers), strict=True):
            self._note(one, values, coarse)
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

    def _note(self, one: _Client, values: Sequence[Any], coarse: int) -> None:
        parts = list(map(hash, enumerate(values)))
        whole = reduce(xor, parts)  # sums of such hashes are equal where two numbers change by the same amount
        if whole in one.inputs:
            return  # a retry
        # Slightly changed copies share one of these: each leaves out one feature, the last rounds all numbers.
        signatures = [*map(whole.__xor__, parts), coarse]
        copy = not one.known.keys().isdisjoint(signatures)
        one.rows.append((whole, signatures, copy))
        one.known.update(dict.fromkeys(signatures, one.noted))
        one.inputs.add(whole)
        one.noted += 1
        one.copies += copy
        if len(one.rows) > self._rows:
            oldest = one.noted - len(one.rows)
            whole, signatures, copy = one.rows.popleft()
            for signature in signatures:
                if one.known.get(signature) == oldest:
                    del one.known[signature]
            one.inputs.discard(whole)
            one.copies -= copy


def _coarse(columns: Mapping[str, Sequence[Any]], numbers: Collection[str]) -> list[int]:
    """Return a number for each row that it shares with rows whose numbers differ by at most some per cent.

    It keeps the sign, the exponent and five bits of the fraction of each float.
    """
    exact = list(zip(*(values for name, values in columns.items() if name not in numbers), strict=True))
    floats = np.array([values for name, values in columns.items() if name in numbers], dtype=np.float64)
    if not floats.size:
        return [hash(row) for row in exact]
    floats += 0.0  # minus zero is zero
    bits = np.ascontiguousarray((floats.view(np.uint64) >> np.uint64(47)).T)
    near = [row.tobytes() for row in bits]
    return [hash(pair) for pair in zip(near, exact or near, strict=True)]
