"""Few rows that the champion answers right become wrong."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.records import Record
from everfit.tasks.gate.check import Checks, GateCheck, missing, number
from everfit.tasks.gate.evidence import Check, Evidence

_NAME = "negative flips"
_LEAST_ROWS = 200
"""The smallest number of rows of a slice that is judged, where `gate.slices` sets no other."""


class SliceFlips(Record):
    """Negative flips among the rows where a column has one value."""

    column: str
    value: str
    rows: int
    negative: int

    def __str__(self) -> str:
        share = number(self.negative / self.rows)
        return f"{self.column} = {self.value} ({share}: {self.negative:,} of {self.rows:,} rows)"


class NegativeFlips(Record):
    """Rows of the hold-out that only one of both models answers right.

    Attributes:
        rows: All rows of the hold-out.
        negative: Rows that the champion answers right and the challenger wrong.
        positive: Rows that the challenger answers right and the champion wrong.
        slices: The slices that have enough rows.
    """

    rows: int
    negative: int
    positive: int
    slices: tuple[SliceFlips, ...] = ()


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    limits = policy.negative_flips
    if limits is None or evidence.champion_version is None:
        return
    flips = evidence.area("negative_flips", NegativeFlips)
    if flips is None or flips.rows == 0:
        yield missing(_NAME, "the share of rows that the champion answers right and the challenger wrong")
        return
    if limits.max_share is not None:
        share = flips.negative / flips.rows
        passed = share <= limits.max_share
        reason = (
            f"the challenger answers {flips.negative:,} of {flips.rows:,} rows wrong that the champion answers right, "
            f"and {flips.positive:,} right that the champion answers wrong; the share of the first is {number(share)}, "
            f"and it {'may' if passed else 'must'} be at most {number(limits.max_share)}"
        )
        yield Check(name=_NAME, passed=passed, value=share, bound=limits.max_share, reason=reason)
    if limits.max_slice_share is not None:
        yield _judged_slices(flips, limits.max_slice_share, least_rows(policy))


def least_rows(policy: GatePolicy) -> int:
    """Return the smallest number of rows of a slice that is judged."""
    return _LEAST_ROWS if policy.slices is None else policy.slices.min_rows


def _judged_slices(flips: NegativeFlips, bound: float, least: int) -> Check:
    name = f"{_NAME} by slice"
    if not flips.slices:
        why = f"no slice has {least:,} of the {flips.rows:,} rows; `gate.slices.min_rows` sets another number"
        return missing(name, "the share of negative flips in each slice", why)
    worst = max(flips.slices, key=lambda part: part.negative / part.rows)
    share = worst.negative / worst.rows
    over = sum(part.negative / part.rows > bound for part in flips.slices)
    if over:
        reason = f"{over} of {len(flips.slices)} slices have more negative flips than {number(bound)}; most has {worst}"
    else:
        reason = f"no slice has more negative flips than {number(bound)}; most has {worst}"
    return Check(name=name, passed=not over, value=share, bound=bound, reason=reason)


CHECK = GateCheck(
    name=_NAME,
    place=105,
    summary="Few rows that the champion answers right become wrong, overall and in each slice.",
    policy="negative_flips",
    judge=_judge,
    measured=True,
)
