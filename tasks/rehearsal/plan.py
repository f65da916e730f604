"""The plan of a rehearsal: which windows, which policies. Pure, apart from the pass over the source's times."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from pydantic import AwareDatetime, Field

from everfit.blocks.errors import SpecError
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.sources import read_source

SPEC = "the spec as it is"
"""Name of the policy that all others are compared with."""

_LEARNT_FROM = 0.25
"""The share of the history before the first model, if nobody says from when to begin."""


class Rehearsed(Record):
    """A policy that is lived through: a spec.

    Attributes:
        name: Name of the policy.
        patch: Keys that differ from the spec as it is.
    """

    name: str
    patch: dict[str, Any] = Field(default_factory=dict)


class SourceHistory(Record):
    """The rows of a source by day.

    Attributes:
        first: Event time of the oldest row.
        last: Event time of the newest row that is not of the future.
        days: Number of rows by day.
    """

    first: AwareDatetime
    last: AwareDatetime
    days: dict[date, int]

    def rows(self, since: datetime, until: datetime) -> int:
        """Return the number of rows of the days that begin in a span."""
        return sum(count for day, count in self.days.items() if since <= _midnight(day) < until)


class RehearsalPlan(Record):
    """The windows of a rehearsal, and the policies that live through them.

    Attributes:
        model: Name of the model.
        ends: The moment of the first training, and the end of each window; shape (windows + 1,).
        until: Labels that are known later are not used.
        policies: The spec as it is, and its patches.
        identity: Names all that the result depends on, apart from the source.
        notes: Sentences on what is not known.
    """

    model: str
    ends: tuple[AwareDatetime, ...]
    until: AwareDatetime
    policies: tuple[Rehearsed, ...]
    identity: str = ""
    notes: tuple[str, ...] = ()

    @property
    def windows(self) -> tuple[Window, ...]:
        """Return the windows in time order."""
        return tuple(Window(since=since, until=until) for since, until in pairwise(self.ends))


def read_history(spec: ModelSpec, now: datetime) -> SourceHistory:
    """Return how many rows of a model's source are of which day.

    Args:
        spec: The model's spec.
        now: Rows of later events are passed over.

    Raises:
        SpecError: The model has no event time.
        SourceError: The source can't be read, or has no row.
    """
    time = spec.columns.event_time
    if time is None:
        raise SpecError(
            f"{spec.name}: a rehearsal needs event times, and columns.event_time names none; name the column with the "
            f"time at which a prediction is made"
        )
    days: Counter[date] = Counter()
    first = last = None
    for chunk in read_source(spec.source, spec.own_columns, Window(until=now), strict=False):
        times = chunk.frame[time].dropna()
        times = times[times < now]
        if times.empty:
            continue
        days.update(times.dt.date.value_counts().to_dict())
        oldest, newest = times.min().to_pydatetime(), times.max().to_pydatetime()
        first = oldest if first is None else min(first, oldest)
        last = newest if last is None else max(last, newest)
    if first is None or last is None:
        raise SpecError(f"{spec.name}: the source has no row with an event time before {now:%Y-%m-%d %H:%M}; check it")
    return SourceHistory(first=first, last=last, days=dict(days))


def window_ends(  # noqa: PLR0917 - each bounds the windows
    spec: ModelSpec,
    history: SourceHistory,
    since: datetime | None,
    until: datetime | None,
    every: timedelta,
    now: datetime,
) -> tuple[datetime, ...]:
    """Return the moment of the first training and the end of each window, in time order.

    Args:
        spec: The model's spec.
        history: The rows of the source.
        since: Moment of the first training. By default a quarter of history, and at least what the spec needs to train
            and judge a first model, is before it.
        until: End of the last window. By default the end of the newest day.
        every: Length of a window.
        now: Windows end before it.

    Raises:
        SpecError: There is no room for two windows.
    """
    if every <= timedelta(0):
        raise SpecError(f"--every {format_duration(every)!r} is empty or negative; give a duration such as 7d")
    end = until or min(_midnight(history.last.date()) + timedelta(days=1), now)
    if since is not None:
        count = max(0, (end - since) // every)
        start = since
    else:
        needed = 2 * spec.training.holdout + spec.maturity
        earliest = history.first + max(_LEARNT_FROM * (end - history.first), needed)
        count = max(0, (end - earliest) // every)
        start = end - count * every
    if count < 2:
        days = (history.last - history.first) / timedelta(days=1)
        raise SpecError(
            f"{spec.name}: history of {days:.0f} days, from {history.first:%Y-%m-%d} to {history.last:%Y-%m-%d}, has "
            f"room for {count} window{'' if count == 1 else 's'} of {format_duration(every)} after a first training, "
            f"and two are needed; give a shorter --every, or an earlier --from"
        )
    return tuple(start + number * every for number in range(count + 1))


def remarks(spec: ModelSpec, history: SourceHistory, ends: Sequence[datetime]) -> Iterator[str]:
    """Yield sentences on what the rehearsal can't tell, or does otherwise than the real loop.

    Args:
        spec: The model's spec.
        history: The rows of the source.
        ends: As `window_ends` returns them.
    """
    if spec.columns.label_time is None:
        known = f"{format_duration(spec.maturity)} after the event, its maturity" if spec.maturity else "at the event"
        yield f"The source has no label time and doesn't show when a label came, so it counts as known {known}."
    empty = [f"{since:%Y-%m-%d}" for since, until in pairwise(ends) if not history.rows(since, until)]
    if empty:
        shown = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
        whose = f"has no row, that from {shown}; it" if len(empty) == 1 else f"have no row, those from {shown}; they"
        yield f"{len(empty)} of {len(ends) - 1} windows {whose} can't be compared."
    if spec.gate.approval != "never":
        yield "Each challenger that waits for an approval counts as approved at once."
    if spec.release.strategy != "replace":
        yield (
            f"There is no live traffic in the past, so a release replaces the champion without "
            f"{spec.release.strategy!r}."
        )


def as_rehearsed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec's content as it is lived through: it reaches no service and nobody, and draws no page for people.

    Args:
        content: The content of the spec, as plain data.
    """
    gate, release = dict(content.get("gate", {})), dict(content.get("release", {}))
    monitoring = dict(content.get("monitoring", {}))
    gate |= {"approval": "never", "approvals": 1}
    release |= {"strategy": "replace", "services": []}
    release.pop("signers", None)  # the place of a policy has no key to sign with
    monitoring |= {"report": "never"}
    monitoring["service_health"] = {**monitoring.get("service_health", {}), "token": None}
    kept = {name: value for name, value in content.items() if name not in {"notify", "schedules", "roles"}}
    return {**kept, "gate": gate, "release": release, "monitoring": monitoring}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
