"""The challenger does not clearly lose to the champion on any stretch of the past."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Record, Window
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent
from everfit.tasks.gate.evidence import Check, Evidence

_NAME = "forgetting"


class Stretch(Record):
    """Challenger and champion on the kept rows of one stretch of the past, which neither was trained on."""

    window: Window
    rows: int
    comparison: PairedComparison | None


class Forgetting(Record):
    """The stretches of the past, the oldest first."""

    stretches: tuple[Stretch, ...]


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    limits = policy.forgetting
    if limits is None or evidence.champion_version is None:
        return
    measured = evidence.area(_NAME, Forgetting)
    subject = "how the challenger compares with the champion on kept rows of the past"
    if measured is None or not measured.stretches:
        yield missing(_NAME, subject, f"fewer than {limits.min_rows} rows are kept")
        return
    compared = [(part, part.comparison) for part in measured.stretches if part.comparison is not None]
    if len(compared) < len(measured.stretches):
        unknown = next(part for part in measured.stretches if part.comparison is None)
        yield missing(_NAME, subject, f"too few rows of a class in {unknown.window}")
        return
    chance = (1 - limits.confidence) / len(compared)
    lost = [
        (part, paired)
        for part, paired in compared
        if -paired.difference > limits.max_loss and paired.p_value_worse <= chance
    ]
    worst, paired = max(lost or compared, key=lambda one: -one[1].difference)
    loss, rows = -paired.difference, f"{worst.rows:,} kept rows of {worst.window}"
    if lost:
        reason = (
            f"on {rows}, the challenger's {paired.metric} {number(paired.challenger)} is worse than the champion's "
            f"{number(paired.champion)} by {number(loss)}, with {percent(limits.confidence)} confidence beyond chance; "
            f"the loss must be at most {number(limits.max_loss)}"
        )
    else:
        reason = (
            f"on none of {len(compared)} stretches of the past does the challenger clearly lose more than "
            f"{number(limits.max_loss)} to the champion; the most is {number(loss)} on {rows}"
        )
    yield Check(name=_NAME, passed=not lost, value=loss, bound=limits.max_loss, reason=reason)


CHECK = GateCheck(
    name=_NAME,
    place=107,
    summary="The challenger does not clearly lose to the champion on any stretch of the past.",
    policy="forgetting",
    judge=_judge,
    measured=True,
)
