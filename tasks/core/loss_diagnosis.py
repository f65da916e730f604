"""The record of a diagnosis: why quality was lost, where, and what would help."""

from typing import Literal

from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Record

PartName = Literal["harder_rows", "changed_meaning", "unseen_rows"]
Cause = Literal["harder_rows", "changed_meaning", "unseen_rows", "mixed", "none"]
"""`none`: the loss is not certain, or no part of it is."""

RowLoss = Literal["squared_error", "absolute_error", "relative_error", "log_loss", "brier", "error"]
"""The loss of one row. `brier` is the squared distance of the probabilities from the truth; `error` is 1 if wrong."""

PART_TEXTS: dict[PartName, str] = {
    "harder_rows": "known kinds of rows that are harder to answer or became frequent",
    "changed_meaning": "rows that mean something else now",
    "unseen_rows": "rows of a kind that the hold-out hardly has",
}
LOSS_TEXTS: dict[RowLoss, str] = {
    "squared_error": "mean squared error",
    "absolute_error": "mean absolute error",
    "relative_error": "mean relative error",
    "log_loss": "log loss",
    "brier": "Brier score",
    "error": "share of wrong answers",
}
ADVICE: dict[Cause, str] = {
    "harder_rows": (
        "such rows were as hard in the hold-out, so retraining is not expected to help; columns that tell more about "
        "them would"
    ),
    "changed_meaning": "retraining on rows since the change is expected to help",
    "unseen_rows": (
        "retraining helps once enough of these rows have labels; collect labels of them first: `everfit label-queue` "
        "asks for them"
    ),
    "mixed": "retraining is expected to win back a part of the loss",
    "none": "",
}
SPENT_ADVICE = (
    "these columns tell hardly more about the label now than a constant answer, so retraining is not expected to help; "
    "other columns would"
)
DOUBTED_ADVICE = (
    "most of the loss is in labels that look wrong, so check them first (`everfit diagnose --suspects FILE` lists "
    "them): a retraining would learn them"
)


class LossPart(Record):
    """A part of the change of the loss, in units of the row loss; positive is worse."""

    name: PartName
    change: FiniteFloat
    standard_error: FiniteFloat
    low: FiniteFloat = Field(description="Lower end of the 95 % interval.")
    high: FiniteFloat = Field(description="Upper end of the 95 % interval.")
    certain: bool = Field(description="Worse beyond chance, corrected for the three parts.")


class LossSplit(Record):
    """The change of the mean loss from the hold-out to the window, and its parts, which add up to it."""

    before: FiniteFloat
    now: FiniteFloat
    standard_error: FiniteFloat = Field(description="The standard error of the change.")
    certain: bool = Field(description="Whether the loss has grown beyond chance.")
    parts: tuple[LossPart, ...]
    cause: Cause
    unseen_share: FiniteFloat = Field(description="Share of the window's rows that the hold-out hardly has.")

    @property
    def change(self) -> float:
        """By how much the mean loss has grown."""
        return self.now - self.before

    @property
    def causes(self) -> tuple[LossPart, ...]:
        """The parts that make up the cause, the largest first."""
        if self.cause == "none":
            return ()
        named = [part for part in self.parts if part.certain and self.cause in {part.name, "mixed"}]
        return tuple(sorted((part for part in named if part.change > 0), key=lambda part: -part.change))

    def share(self, part: LossPart) -> float:
        """Return a part's share of the change."""
        return part.change / self.change if self.change else 0.0


class LossSlice(Record):
    """Rows in which quality was lost.

    Attributes:
        name: The conditions in words.
        rows: Labelled rows of the window.
        rows_before: Labelled rows of the hold-out.
        share_of_rows: Share of the window's rows.
        loss: Mean loss in the window.
        elsewhere: Mean loss of the window's other rows.
        before: Mean loss in the hold-out; None if it has no such rows.
        contribution: The slice's part of the change of the mean loss.
        standard_error: The standard error of that share.
        share_of_loss: Its share of the change; None if the loss has not grown.
    """

    name: str
    rows: int
    rows_before: int
    share_of_rows: FiniteFloat
    loss: FiniteFloat
    elsewhere: FiniteFloat
    before: FiniteFloat | None
    contribution: FiniteFloat
    standard_error: FiniteFloat
    share_of_loss: FiniteFloat | None

    @property
    def summary(self) -> str:
        """The slice in one sentence."""
        before = "none in the hold-out" if self.before is None else f"{self.before:.3g} in the hold-out"
        part = "" if self.share_of_loss is None else f", {max(0.0, min(self.share_of_loss, 1.0)):.0%} of the loss"
        return f"{self.name}: {self.loss:.3g}, {self.elsewhere:.3g} elsewhere, {before}, {self.rows:,} rows{part}"


class ColumnShare(Record):
    """A column, and the part of the loss that some of its values have beyond their share of the rows."""

    name: str
    share: FiniteFloat
    certain: bool = Field(description="Beyond chance, corrected for the number of columns.")


class Diagnosis(Record):
    """Why quality was lost, where, and what would help.

    Attributes:
        row_loss: The loss of a row, which all figures are means of.
        split: The change of the loss in its parts, and the cause.
        slices: The slices in which quality was surely lost, the worst first.
        columns: The columns by their share of the loss.
        values: Values that the hold-out lacks, one sentence each.
        left_out: Columns that were not looked at, and why; one sentence each.
        doubted_share: Share of the loss's growth that is in labels which should be checked.
        columns_spent: Whether no model of these columns is much better in the window than a constant answer.
        remedies: Facts about models, labels and columns that show how to win the loss back, one sentence each.
        reference_rows: Labelled rows of the hold-out.
        window_rows: Labelled rows of the window.
        sampled: The largest number of rows of either side that were looked at.
    """

    row_loss: RowLoss
    split: LossSplit
    slices: tuple[LossSlice, ...] = ()
    columns: tuple[ColumnShare, ...] = ()
    values: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    doubted_share: FiniteFloat = 0.0
    columns_spent: bool = False
    remedies: tuple[str, ...] = ()
    reference_rows: int
    window_rows: int
    sampled: int

    @property
    def cause(self) -> Cause:
        """The cause."""
        return self.split.cause

    @property
    def summary(self) -> str:
        """The cause in one sentence."""
        split = self.split
        figures = f"{LOSS_TEXTS[self.row_loss]} {split.before:.3g} in the hold-out, {split.now:.3g} now"
        if not split.certain:
            return f"no cause to look for: the loss has not surely grown ({figures})"
        if split.cause == "none":
            return f"the cause is not certain: no part of the loss is beyond chance ({figures})"
        parts = " and ".join(
            f"{PART_TEXTS[part.name]} ({min(split.share(part), 1.0):.0%} of it, {part.low:.2g} to {part.high:.2g})"
            for part in split.causes
        )
        return f"the loss comes from {parts}; {figures}"

    @property
    def advice(self) -> str:
        """The consequence for retraining, in one sentence; empty where no cause is certain."""
        if self.cause != "none" and self.doubted_share > 0.5:
            return DOUBTED_ADVICE
        if self.columns_spent and self.cause in {"changed_meaning", "mixed"}:
            return SPENT_ADVICE
        return ADVICE[self.cause]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The diagnosis in the sentences that people read beside a decision; empty where no cause is certain."""
        if self.cause == "none":
            return ()
        worst = (f"worst slice: {self.slices[0].summary}",) if self.slices else ()
        return (f"{self.summary}; {self.advice}", *worst, *self.values[:1])
