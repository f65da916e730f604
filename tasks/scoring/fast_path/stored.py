"""Numbers and texts from which a fast path predicts, in a file of their own that holds no code.

A process that predicts by them alone needs neither scikit-learn, SciPy nor skops, which together take a second to
import and a hundred megabytes.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_WORDS = "words"
"""Name of the array with the JSON text beside the arrays of numbers."""
_SCALARS = (bool, int, float, str)


class NotStorableError(Exception):
    """A fast path holds something other than numbers and texts."""


@dataclass(frozen=True)
class Stored:
    """The numbers and texts of a fast path.

    Attributes:
        kind: Which fast path.
        words: Names, codes and other values of JSON.
        numbers: Arrays, none of them of Python objects.
        parts: The same of the fast paths of which this one consists.
    """

    kind: str
    words: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    parts: tuple["Stored", ...] = ()

    def to_bytes(self) -> bytes:
        """Return it as a file of numpy's, without pickled objects."""
        described: list[dict[str, Any]] = []
        arrays: dict[str, npt.NDArray[Any]] = {}
        for place, one in enumerate(_flat(self)):
            described.append({"kind": one.kind, "words": one.words, "parts": len(one.parts)})
            arrays |= {f"{place}/{name}": np.asarray(values) for name, values in one.numbers.items()}
        text = json.dumps(described).encode()
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **{_WORDS: np.frombuffer(text, dtype=np.uint8)}, **arrays)
        return stream.getvalue()

    @staticmethod
    def of_bytes(content: bytes) -> "Stored":
        """Return what `to_bytes` has written.

        Raises:
            ValueError: It is damaged.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            described = json.loads(archive[_WORDS].tobytes())
            numbers: list[dict[str, npt.NDArray[Any]]] = [{} for _ in described]
            for name in archive.files:
                place, _, of_part = name.partition("/")
                if of_part:
                    numbers[int(place)][of_part] = archive[name]
        left = iter(zip(described, numbers, strict=True))

        def following() -> Stored:
            one, own = next(left)
            return Stored(one["kind"], one["words"], own, tuple(following() for _ in range(one["parts"])))

        return following()


def _flat(stored: Stored) -> Iterator[Stored]:
    """Yield it, and then all of its parts in the order in which they are read again."""
    yield stored
    for part in stored.parts:
        yield from _flat(part)


def stored_classes(classes: npt.NDArray[Any] | None) -> dict[str, Any] | None:
    """Return an estimator's classes as values of JSON; None for a regression.

    Raises:
        NotStorableError: They are something else than numbers and texts.
    """
    if classes is None:
        return None
    values = np.asarray(classes)
    listed = values.tolist()
    if not all(isinstance(value, _SCALARS) for value in listed):
        raise NotStorableError("the classes are neither numbers nor texts")
    return {"values": listed, "dtype": values.dtype.str}


def restored_classes(stored: Mapping[str, Any] | None) -> npt.NDArray[Any] | None:
    """Return the classes that `stored_classes` has taken apart."""
    return None if stored is None else np.array(stored["values"], dtype=np.dtype(stored["dtype"]))
