"""Whether the rows of a window come from the distribution that the champion was trained on.

Pure: a profile, counts over its cells and a policy in, a frozen verdict out. Decisions use the reference's own cells,
so they need no reference rows and are the same for any order or chunking of the window's rows.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.blocks.monitoring import DriftMethod, MonitoringPolicy
from everfit.tasks.core.records import Record, Window
from everfit.tasks.statistics import divergence
from everfit.tasks.statistics.columns import Kind
from everfit.tasks.statistics.histograms import ColumnHistogram, Histograms
from everfit.tasks.statistics.profile import ColumnProfile, Profile, Role

ColumnStatus = Literal["compared", "ignored", "absent", "empty", "too_few_values"]
DriftStatus = Literal["drift", "no_drift", "not_enough_rows", "not_comparable"]


_FEW = 20
"""A category that is listed among many by fewer rows may be there by chance."""


class ColumnDrift(Record):
    """How far one column has moved from the reference, and whether that is drift."""

    column: str
    role: Role
    kind: Kind
    status: ColumnStatus
    drifted: bool | None = Field(description="None where the column couldn't be compared, which is not 'no drift'.")
    method: DriftMethod
    threshold: float
    statistic: float | None = Field(
        default=None, description="The statistic of the method, by the formula that Evidently uses."
    )
    effect: float | None = Field(default=None, description="The statistic less what chance gives at these row counts.")
    p_value: float | None = Field(default=None, description="The p value of the chi-square test over the same cells.")
    adjusted_p: float | None = Field(default=None, description="Corrected over all columns (Benjamini-Hochberg).")
    missing_reference: float
    missing_current: float
    unseen: tuple[str, ...] = Field(default=(), description="Categories that the reference doesn't have.")
    unseen_share: float = 0.0
    summary: str


class DriftResult(Record):
    """Drift of a window against the reference."""

    status: DriftStatus
    drifted: bool | None = Field(description="None where the status says neither drift nor no drift.")
    columns: tuple[ColumnDrift, ...] = ()
    drifted_share: float | None = Field(default=None, description="Share of drifted ones among compared features.")
    prediction_drifted: bool | None = Field(default=None, description="None without comparable predictions.")
    rows: int
    reference_rows: int
    window: Window | None = None
    profile: str = Field(description="Digest of the reference's profile.")
    reasons: tuple[str, ...] = ()

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        """The names of the drifted columns, predictions among them."""
        return tuple(column.column for column in self.columns if column.drifted)


def drift(
    reference: Profile, current: Histograms, policy: MonitoringPolicy, *, window: Window | None = None
) -> DriftResult:
    """Compare the counts of a window with the reference.

    A column has drifted when its effect is at or above the threshold and its adjusted p-value below `alpha`. The window
    has drifted when the share of drifted features reaches `drifted_share`, or when a prediction has drifted.

    Args:
        reference: The champion's profile.
        current: The window's rows counted over that profile's cells.
        policy: Methods, thresholds and the rule for the window.
        window: The span of event time, for the record.

    Raises:
        DataError: the rows were counted over another profile's cells.
    """
    digest = reference.digest()
    if current.profile != digest:
        raise DataError(
            f"the rows were counted over profile {current.profile[:12]!r}, not over {digest[:12]!r}; "
            "count them over the reference that they are to be compared with"
        )
    facts = {"rows": current.rows, "reference_rows": reference.rows, "window": window, "profile": digest}
    if current.rows < policy.min_rows:
        summary = f"{current.rows:,} rows are fewer than the {policy.min_rows:,} that a verdict needs"
        return DriftResult.model_validate(
            {"status": "not_enough_rows", "drifted": None, "reasons": (summary,), **facts}
        )
    measured = [
        _measure(profile, counts, policy) for profile, counts in zip(reference.columns, current.columns, strict=True)
    ]
    columns = _judge(measured, policy.false_discovery_rate)
    return DriftResult.model_validate({**_verdict(columns, policy), "columns": columns, **facts})


def _measure(profile: ColumnProfile, counts: ColumnHistogram, policy: MonitoringPolicy) -> ColumnDrift:
    method, threshold = policy.method(profile.name, profile.kind), policy.threshold(profile.name, profile.kind)
    status, summary = _comparable(profile, counts, policy)
    measured: dict[str, object] = {
        "column": profile.name,
        "role": profile.role,
        "kind": profile.kind,
        "drifted": None,
        "method": method,
        "threshold": threshold,
        "missing_reference": profile.missing_share,
        "missing_current": counts.missing_share,
        "unseen": counts.unseen_first,
        "unseen_share": _unseen(profile, counts) / counts.values if counts.values else 0.0,
    }
    if status == "compared":
        effect, likely = _compared(profile, counts, method)
        old, new = (np.asarray(side.cells, dtype=np.int64) for side in (profile, counts))
        used = old + new > 0
        if divergence.comparable(*_cells(profile, counts)) or (
            effect >= threshold and likely < policy.false_discovery_rate
        ):
            measured |= {"statistic": divergence.statistic(method, old[used], new[used])}
            measured |= {"effect": effect, "p_value": likely}
        else:
            status, summary = "too_few_values", f"{counts.values:,} values are too few to tell one from another"
    return ColumnDrift.model_validate({**measured, "status": status, "summary": summary})


def _compared(profile: ColumnProfile, counts: ColumnHistogram, method: DriftMethod) -> tuple[float, float]:
    """Effect and p-value, of the cells and of what the reference lacks."""
    old, new = _cells(profile, counts)
    known = divergence.comparable(old, new)
    effect, likely = (divergence.effect(method, old, new), divergence.p_value(old, new)) if known else (0.0, 1.0)
    if unseen := _unseen(profile, counts):
        # Where values are rare, some are new in every window: as often as a row of the reference has a value that no
        # other has (I. J. Good, "The population frequencies of species", Biometrika 40, 1953).
        before, n, m = profile.once, int(old.sum()), counts.values
        sides = np.array([n - before, before]), np.array([m - unseen, unseen])
        effect = max(effect, divergence.effect(method, *sides))
        likely = divergence.either(likely, divergence.more_than_chance(before, unseen, n, m))
    return effect, likely


def _unseen(profile: ColumnProfile, counts: ColumnHistogram) -> int:
    return 0 if profile.kind == "numeric" else counts.cells[-1]


def _cells(profile: ColumnProfile, counts: ColumnHistogram) -> tuple[divergence.Counts, divergence.Counts]:
    """Counts over cells that weren't chosen for what the reference happens to hold in them.

    If there are more categories than cells, those are listed that were the most frequent in the reference; where that
    is by few rows, they are no more frequent in truth, and are counted with the others. So are unseen ones, of which
    the reference can have none.
    """
    old, new = (np.asarray(side.cells, dtype=np.int64).copy() for side in (profile, counts))
    if profile.kind == "numeric":
        return old, new
    few = np.append(old[:-2] < _FEW, [False, True]) if old[-2] else np.append(np.zeros(old.size - 1, dtype=bool), True)
    for side in (old, new):
        side[-2] += side[few].sum()
        side[few] = 0
    return old, new


def _comparable(profile: ColumnProfile, counts: ColumnHistogram, policy: MonitoringPolicy) -> tuple[ColumnStatus, str]:
    if policy.ignored(profile.name):
        return "ignored", "left out by the policy, or a part of the event time"
    if not counts.present:
        return "absent", "the window's rows don't have this column"
    if counts.values == 0 or profile.rows == profile.missing:
        side = "window" if counts.values == 0 else "reference"
        return "empty", f"the {side} has no value in this column"
    if counts.values < policy.min_rows:
        return "too_few_values", f"{counts.values:,} values are fewer than {policy.min_rows:,}"
    return "compared", ""


def _judge(measured: Sequence[ColumnDrift], alpha: float) -> tuple[ColumnDrift, ...]:
    from scipy.stats import false_discovery_control

    compared = [column for column in measured if column.p_value is not None]
    adjusted = iter(false_discovery_control([column.p_value for column in compared if column.p_value is not None]))
    judged: list[ColumnDrift] = []
    for column in measured:
        if column.p_value is None or column.effect is None:
            judged.append(column)
            continue
        adjusted_p = float(next(adjusted))
        large, sure = column.effect >= column.threshold, adjusted_p < alpha
        summary = (
            f"{column.method} {column.effect:.3f} is {'at or above' if large else 'below'} {column.threshold:g}, "
            f"{'significant' if sure else 'not significant'} (adjusted p {adjusted_p:.2g})"
        )
        judged.append(
            column.model_copy(update={"adjusted_p": adjusted_p, "drifted": large and sure, "summary": summary})
        )
    return tuple(judged)


def _verdict(columns: Sequence[ColumnDrift], policy: MonitoringPolicy) -> dict[str, object]:
    features = [column for column in columns if column.role == "feature" and column.drifted is not None]
    predictions = [column for column in columns if column.role == "prediction" and column.drifted is not None]
    if not features and not predictions:
        return {"status": "not_comparable", "drifted": None, "reasons": ("no column could be compared",)}
    moved = [column for column in features if column.drifted]
    share = len(moved) / len(features) if features else None
    prediction_drifted = any(column.drifted for column in predictions) if predictions else None
    reasons = [f"{len(moved)} of {len(features)} features have drifted; the bound is {policy.drifted_share:.0%}"]
    reasons += [f"{column.column}: {column.summary}" for column in columns if column.drifted]
    reasons += [
        f"{column.column} isn't compared: {column.summary}"
        for column in columns
        if column.drifted is None and column.status != "ignored"
    ]
    by_share = share is not None and share >= policy.drifted_share
    drifted = by_share or bool(prediction_drifted and policy.prediction_drift)
    return {
        "status": "drift" if drifted else "no_drift",
        "drifted": drifted,
        "drifted_share": share,
        "prediction_drifted": prediction_drifted,
        "reasons": tuple(reasons),
    }
