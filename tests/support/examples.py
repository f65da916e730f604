"""How many examples Hypothesis draws. Each run draws anew: a usual one takes a part, and the nightly one takes all."""

import math
import os


def examples(number: int) -> int:
    """Return `number` in a run with LONG=1, and a sixth of it otherwise."""
    return number if os.environ.get("LONG") else math.ceil(number / 6)
