"""The ids of predictions: UUIDs of version 7, which begin with the time of the prediction."""

import os
from uuid import UUID

import numpy as np
import numpy.typing as npt

_VERSION_7 = 0x7 << 76

_VARIANT = 0b10 << 62

_VARIANT_DIGITS = "89ab" * 4  # the variant takes two of the digit's four bits


def new_ids(at_ms: int, count: int) -> list[str]:
    """Make ids for predictions that are made now: UUIDs of version 7 (RFC 9562), with the time first and random digits.

    Args:
        at_ms: Time in milliseconds since 1970.
        count: Number of ids.
    """
    front = f"{at_ms:012x}"
    front = f"{front[:8]}-{front[8:]}-7"
    noise = os.urandom(10 * count).hex()
    parts = (noise[start : start + 20] for start in range(0, 20 * count, 20))
    return [f"{front}{part[:3]}-{_VARIANT_DIGITS[int(part[3], 16)]}{part[4:7]}-{part[7:19]}" for part in parts]


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
