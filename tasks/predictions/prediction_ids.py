"""The ids of predictions: UUIDs of version 7, which begin with the time of the prediction."""

import os
from uuid import UUID

import numpy as np
import numpy.typing as npt

_VERSION_7 = 0x7 << 76

_VARIANT = 0b10 << 62

_WITH_VARIANT = bytes(0b10 << 6 | value & 0b111111 for value in range(256))  # it takes two of the byte's bits


def new_ids(at_ms: int, count: int) -> list[str]:
    """Make ids for predictions that are made now: UUIDs of version 7 (RFC 9562), with the time first and random digits.

    Args:
        at_ms: Time in milliseconds since 1970.
        count: Number of ids.
    """
    front = f"{at_ms:012x}"
    front = f"{front[:8]}-{front[8:]}-7"
    random = bytearray(os.urandom(10 * count))
    random[2::10] = random[2::10].translate(_WITH_VARIANT)
    noise = random.hex()
    starts = range(0, 20 * count, 20)
    return [f"{front}{noise[at + 1 : at + 4]}-{noise[at + 4 : at + 8]}-{noise[at + 8 : at + 20]}" for at in starts]


def repeatable_ids(at_ms: int, hashes: npt.NDArray[np.int64], model_version: int) -> list[str]:
    """Make ids that are the same each time, so that a batch that is scored again gives the same predictions.

    Args:
        at_ms: End of the window, in milliseconds since 1970.
        hashes: Hashes of the rows' keys; shape (rows,).
        model_version: Version that scores them.
    """
    stamp = (at_ms << 80) | _VERSION_7 | ((model_version & 0xFFF) << 64) | _VARIANT
    return [str(UUID(int=stamp | (int(value) & (1 << 62) - 1))) for value in hashes]


def made_at_ms(prediction_id: str) -> int:
    """Return the time of a prediction from its id, in milliseconds since 1970."""
    return UUID(prediction_id).int >> 80
