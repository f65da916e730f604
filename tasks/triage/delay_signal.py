"""The evidence areas about labels that come late: how long they take, and quality by the early ones."""

from datetime import timedelta

from pydantic import Field, FiniteFloat

from everfit.blocks.policy import Duration, format_duration
from everfit.tasks.core.records import Record
from everfit.tasks.core.segment_delay import SegmentDelay
from everfit.tasks.triage.area import Area

_NONE = timedelta(0)
_LONGER = 1.1
"""Labels are too late from this many times the maturity; the estimate is accurate to a tenth."""
_LATE = 0.01
"""At least this share of the labels must have been seen to come after a maturity that is too short."""
_SHORTER = 0.75
"""A maturity of which labels surely need less than this share waits without need."""
HOURS_BELOW = 2
"""Shorter delays than this many days are given in hours."""


def _is_none(value: object) -> bool:
    return value is None


class TrainingDelays(Record):
    """How long the labels of the champion's hold-out took, in days.

    Attributes:
        half: After this time half of the labels were known.
        most: After this time 90 % were.
        days: After this time 99 % were.
        coverage: The share of the rows that have a label.
    """

    half: FiniteFloat | None = None
    most: FiniteFloat | None = None
    days: FiniteFloat
    coverage: FiniteFloat


class DelaySignal(Area):
    """How long labels take, against the maturity of the spec. Durations are in days."""

    name = "delays"
    label = "label delay"
    measures = "after which time labels are known (Kaplan-Meier), against the spec's maturity"
    required = ("days", "lower", "upper", "maturity", "late", "followed")

    rows: int = 0
    labelled: int = 0
    maturity: Duration | None = None
    days: FiniteFloat | None = Field(default=None, description="After this time 99 % of the labels are known.")
    lower: FiniteFloat | None = Field(default=None, description="Lower end of the 95 % interval of `days`.")
    upper: FiniteFloat | None = None
    half: FiniteFloat | None = Field(
        default=None, exclude_if=_is_none, description="After this time half of the labels are known."
    )
    most: FiniteFloat | None = Field(
        default=None, exclude_if=_is_none, description="After this time 90 % of the labels are known."
    )
    late: FiniteFloat | None = Field(default=None, description="Share of the labels that are known after the maturity.")
    coverage: FiniteFloat | None = Field(default=None, description="Share of the rows that get a label at all.")
    followed: FiniteFloat | None = Field(default=None, description="How long rows were followed.")
    beyond: bool = Field(default=False, description="Whether `days` is longer than rows were followed.")
    changed: bool = Field(default=False, description="Whether newer rows have other delays; only these count then.")
    unsure: bool = Field(
        default=False,
        exclude_if=lambda unsure: not unsure,
        description="Whether rows were followed for too short a time to set a maturity by `days`.",
    )
    training: TrainingDelays | None = Field(
        default=None, exclude_if=_is_none, description="The same of the champion's hold-out."
    )
    segments: tuple[SegmentDelay, ...] = Field(
        default=(),
        exclude_if=lambda segments: not segments,
        description="Kinds of rows whose labels surely take a quarter longer than those of the others.",
    )

    @property
    def too_short(self) -> bool:
        """Whether labels surely come later than the maturity."""
        if not self.measured or not self._followed_enough or (self.late or 0) < _LATE:
            return False
        return (self.lower or 0) > _LONGER * self._maturity_days

    @property
    def too_long(self) -> bool:
        """Whether all labels surely come long before the maturity."""
        if not self.measured or self.upper is None or self.beyond or not self._followed_enough:
            return False
        return self.proposal < self._maturity_days and self.upper < _SHORTER * self._maturity_days

    @property
    def proposal(self) -> int:
        """The maturity that fits, in whole days."""
        return max(1, -int(-(self.days or 0) // 1))

    @property
    def warning(self) -> str:
        """The sentence about a maturity that does not fit; empty if it does."""
        known = f"{self._known()}, and the maturity is {format_duration(self.maturity or _NONE)}"
        advice = f"set `maturity: {self.proposal}d`{self._doubt}"
        if self.too_short:
            return (
                f"the maturity is too short: {known}; {self.late or 0:.1%} of the labels come later, so quality is "
                f"measured on early labels; {advice}"
            )
        return (
            f"the maturity is longer than needed: {known}; {advice}, and losses show earlier" if self.too_long else ""
        )

    @property
    def details(self) -> str:
        """The delay, and whether the maturity fits."""
        slow = "".join(f"; {segment.summary}" for segment in self.segments if segment.is_late)
        if self.warning:
            return f"{self.warning}{slow}"
        estimated = ", estimated beyond the time that rows were followed for" if self.beyond else ""
        newer = "; labels of newer rows take another time than before" if self.changed else ""
        return (
            f"{self._known(estimated)}{self._doubt}; the maturity is {format_duration(self.maturity or _NONE)}; "
            f"{self.coverage or 0:.1%} of the rows get a label{newer}{slow}"
        )

    @property
    def _doubt(self) -> str:
        """Why the figure is not sure; empty if it is."""
        if not self.unsure:
            return ""
        return (
            f", but rows were followed for {self.followed or 0:.3g} days, which is too short to tell labels that come "
            "late from labels that never come"
        )

    def _known(self, note: str = "") -> str:
        """Return after which time labels are known, with its interval; in hours if that is short."""
        days = self.days or 0.0
        size, unit = (24, "hours") if days < HOURS_BELOW else (1, "days")
        low, high = (size * (end or 0.0) for end in (self.lower, self.upper))
        return f"99 % of the labels are known after {size * days:.3g} {unit} ({low:.3g} to {high:.3g}{note})"

    @property
    def concerns(self) -> tuple[str, ...]:
        """A maturity that is too short, because quality is biased then; one that is too long only costs time."""
        return (self.warning,) if self.too_short else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """A maturity that is longer than needed, and kinds of rows whose labels mostly come after it."""
        late = tuple(segment.summary for segment in self.segments if segment.is_late)
        return (*((self.warning,) if self.too_long else ()), *late)

    @property
    def _maturity_days(self) -> float:
        return (self.maturity or _NONE).total_seconds() / 86_400

    @property
    def _followed_enough(self) -> bool:
        """Whether rows were followed for longer than the maturity, so that late labels would show."""
        return (self.followed or 0) >= _LONGER * self._maturity_days
