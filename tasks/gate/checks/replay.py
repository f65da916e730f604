"""The challenger answers the prediction log of the last days much as the champion did, and no worse."""

from pydantic import Field, FiniteFloat

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Record, Window
from everfit.tasks.gate.check import Checks, GateCheck, judge, missing, number, percent
from everfit.tasks.gate.evidence import Check, Evidence

_NAME = "replay"


class Replay(Record):
    """The champion's answers of the prediction log, and the challenger's to the same rows."""

    window: Window
    rows: int = Field(description="Rows that the champion has answered, or a sample of them.")
    changed: FiniteFloat = Field(description="Share of rows with another class; of numbers, their mean distance.")
    mean_change: FiniteFloat = Field(description="The mean change of the score, or of the number.")
    large_change: FiniteFloat = Field(description="One of twenty rows changes by more.")
    slices: tuple[str, ...] = Field(default=(), description="Slices in which answers surely differ most, in words.")
    labelled: int = Field(description="Rows with a label that neither model was trained on.")
    comparison: PairedComparison | None = Field(default=None, description="On these; None if they are too few.")

    @property
    def summary(self) -> str:
        """How the answers differ, in one sentence."""
        paired, compared = self.comparison, "too few of them have a label to compare both"
        if paired is not None:
            compared = (
                f"on {paired.rows:,} of them with a label the challenger's {paired.metric} is "
                f"{number(paired.challenger)}, and the champion's {number(paired.champion)}"
            )
        slices = f"; {'; '.join(self.slices)}" if self.slices else ""
        return (
            f"of {self.rows:,} rows of the prediction log, {percent(round(self.changed, 4))} are answered otherwise, "
            f"and one in twenty changes by more than {number(self.large_change)}; {compared}{slices}"
        )


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    limits = policy.replay
    if limits is None or evidence.champion_version is None:
        return
    replay = evidence.area(_NAME, Replay)
    if replay is None:
        yield missing(_NAME, f"what the challenger answers to the log of the last {limits.days} days")
        return
    yield Check(name=_NAME, passed=True, value=replay.changed, reason=replay.summary)
    if limits.max_changed is not None:
        name, subject = f"{_NAME} changed", "the share of answers of the prediction log that change"
        yield judge(name, replay.changed, limits.max_changed, at_most=True, subject=subject)
    if limits.max_loss is not None:
        yield _judged_loss(replay, limits.max_loss, policy)


def _judged_loss(replay: Replay, bound: float, policy: GatePolicy) -> Check:
    name, paired = f"{_NAME} loss", replay.comparison
    if paired is None:
        return missing(name, "the loss on the prediction log", f"{replay.labelled:,} of its rows have a label")
    surely = -paired.difference - paired.reach(policy.confidence)
    passed = surely <= bound
    reason = (
        f"on {paired.rows:,} rows of the prediction log the challenger loses {number(-paired.difference)} to the "
        f"champion, {number(surely)} or more with {percent(policy.confidence)} confidence; it "
        f"{'may' if passed else 'must'} be at most {number(bound)}"
    )
    return Check(name=name, passed=passed, value=surely, bound=bound, reason=reason)


CHECK = GateCheck(
    name=_NAME,
    place=109,
    summary="The challenger answers the prediction log of the last days much as the champion did, and no worse.",
    policy="replay",
    judge=_judge,
    measured=True,
)
