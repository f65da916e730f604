"""Negative flips: rows that the champion answers right and the challenger wrong."""

import numpy as np

from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.slices import groups, slice_columns
from everfit.tasks.gate.checks.negative_flips import NegativeFlips, SliceFlips, least_rows


def measure(measurement: Measurement) -> NegativeFlips | None:
    """Count the rows that only one of both models answers right, where the gate asks for it."""
    spec, scored = measurement.spec, measurement.scored
    if spec.gate.negative_flips is None or measurement.incumbent is None or not measurement.has_classes:
        return None
    right = {role: scored.predicted_classes(role) == scored.truth for role in ("challenger", "champion")}
    negative = right["champion"] & ~right["challenger"]
    least = least_rows(spec.gate)
    parts = [
        SliceFlips(column=column, value=value, rows=int(chosen.sum()), negative=int(negative[chosen].sum()))
        for column in slice_columns(spec)
        if column in scored.rows
        for value, chosen in groups(scored.rows[column].reset_index(drop=True))
        if chosen.sum() >= least
    ]
    return NegativeFlips(
        rows=negative.size,
        negative=int(negative.sum()),
        positive=int(np.sum(right["challenger"] & ~right["champion"])),
        slices=tuple(parts),
    )
