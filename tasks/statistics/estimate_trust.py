"""Compare past estimates of quality with the later realised values, and derive how far to trust the next one."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

from pydantic import AwareDatetime, Field, FiniteFloat

from everfit.tasks.core.records import Record


class PastEstimate(Record):
    """An estimate with the later realised value."""

    until: AwareDatetime
    estimated: FiniteFloat
    realised: FiniteFloat
    standard_error: FiniteFloat = Field(ge=0, description="Standard error of estimate and realised value together.")

    @property
    def error(self) -> float:
        """Return the estimate minus the realised value."""
        return self.estimated - self.realised

    @property
    def came_true(self) -> bool:
        """Return whether the error was within two standard errors."""
        return abs(self.error) <= 2 * self.standard_error


class TrackRecord(Record):
    """Accuracy of past estimates, and the trust in the next one."""

    windows: int
    mean_error: FiniteFloat | None = Field(description="Mean distance between estimated and realised values.")
    extra_error: FiniteFloat = Field(description="Root of the mean squared error beyond what the bands explain.")
    trust: FiniteFloat
    summary: str


class EstimatedQuality(Record):
    """A metric estimated without labels, with its band."""

    method: str
    metric: str
    rows: int
    value: FiniteFloat
    standard_error: FiniteFloat
    lower: FiniteFloat
    upper: FiniteFloat
    confidence: FiniteFloat
    trust: FiniteFloat
    summary: str


def track_record(past: Sequence[PastEstimate], *, newest: int = 12) -> TrackRecord:
    """Compute the trust in an estimator from its past estimates.

    Trust is Laplace's rule of succession over the estimates that were right within their band: one half without any
    record, and towards 0 or 1 with more windows.

    Args:
        past: Estimates whose labels have matured since, in any order.
        newest: Number of the newest estimates that count.
    """
    recent = sorted(past, key=lambda estimate: estimate.until)[-newest:]
    if not recent:
        summary = "no estimate has been compared with labels yet"
        return TrackRecord(windows=0, mean_error=None, extra_error=0.0, trust=0.5, summary=summary)
    right = sum(estimate.came_true for estimate in recent)
    trust = (right + 1) / (len(recent) + 2)
    off = fmean(abs(estimate.error) for estimate in recent)
    extra = fmean(estimate.error**2 - estimate.standard_error**2 for estimate in recent)
    count = f"{len(recent)} windows were" if len(recent) > 1 else "one window was"
    summary = f"estimates of the last {count} off by {off:.2g} on average, {right} of {len(recent)} within their band"
    return TrackRecord(
        windows=len(recent),
        mean_error=off,
        extra_error=math.sqrt(max(0.0, extra)),
        trust=trust,
        summary=summary if trust >= 0.5 else f"{summary}; not trusted alone",
    )


def estimated(
    method: str, name: str, rows: int, value: float, error: float, *, record: TrackRecord | None, confidence: float
) -> EstimatedQuality:
    """Describe an estimate, and widen its band by how far past ones were off beyond theirs.

    Args:
        method: Method of estimation.
        name: Name of the metric.
        rows: Number of estimated rows.
        value: The estimate.
        error: Its standard error.
        record: Accuracy of past estimates.
        confidence: Confidence of the band.
    """
    record = record or track_record(())
    widened = math.hypot(error, record.extra_error)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * widened
    return EstimatedQuality(
        method=method,
        metric=name,
        rows=rows,
        value=value,
        standard_error=widened,
        lower=value - half,
        upper=value + half,
        confidence=confidence,
        trust=record.trust,
        summary=f"{name} is estimated at {value:.4g} (± {half:.2g}) for {rows:,} rows; {record.summary}",
    )
