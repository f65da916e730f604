"""The proposed event time and label time of a table, each with the signs that speak for it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.policy import parse_duration
from everfit.deployments.init import names
from everfit.deployments.init.look import Look, disorder, distinct_share, has_whole_numbers, spread
from everfit.deployments.init.proposal import Proposal
from everfit.tasks.core.column_words import namesakes_of
from everfit.tasks.statistics.label_delays import label_delays
from everfit.tasks.statistics.segment_delays import slow_segments

Choose = Callable[[Sequence["TimeChoice"]], str]
"""Chooses one of several columns that may be the event time, and returns its name."""

_FILLED = 0.99
_COVERED = 0.9
_ORDERED, _MOSTLY_ORDERED = 0.02, 0.2
"""The largest shares of steps from row to row that go the other way."""
_LEAST_STEPS = 10
_IN_ORDER = 3
_FOLLOWS = 0.95
"""The least rank correlation of an identifier with a time by which new keys are given."""
_SOME_ROWS = 20_000
_RECENT_SHARE, _RECENT = 0.1, pd.Timedelta(days=45)
_SAME_DAY = 0.95
"""Share of the rows; a date in local time differs around midnight."""
_CLOSE = 1
"""A column with at most this many points less than the best one may be the event time too."""
_WITHOUT_LABEL = 30
"""Rows without a label that show whether a time is filled only with it."""


@dataclass(frozen=True)
class TimeChoice:
    """A column that may be the time of the event.

    Attributes:
        column: Its name.
        points: The weight of the signs together.
        signs: Each sign in words.
    """

    column: str
    points: int
    signs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.column!r} ({'; '.join(self.signs) or 'no sign speaks for it'})"


def propose_times(
    seen: Look, made: Proposal, event_time: str | None, label_time: str | None, choose: Choose | None
) -> None:
    """Propose the event time, the label time and the maturity. The choices of a person are kept."""
    choices = event_time_choices(seen)
    if event_time is not None:
        made.event_time, made.event_time_signs = event_time, ("given by --event-time",)
    elif choices:
        possible = [choice for choice in choices if choice.points >= choices[0].points - _CLOSE]
        column = choose(possible) if choose is not None and len(possible) > 1 else choices[0].column
        taken = next(choice for choice in choices if choice.column == column)
        made.event_time, made.event_time_signs = column, taken.signs
        if others := [choice for choice in possible if choice is not taken]:
            made.notes.append(
                f"More than one column may be the time of the event. Taken is {taken}. Possible too: "
                f"{', '.join(map(str, others))}. To take another, use --event-time."
            )
    if made.event_time is None:
        made.notes.append(_no_event_time(seen))
        return
    made.time_format = seen.times[made.event_time]
    made.label_time = label_time or _label_time(seen, made)
    if (other := seen.ambiguous.get(made.event_time)) is not None:
        made.notes.append(
            f"The times of {made.event_time!r} could also be read as {other!r}. Read as {made.time_format!r} the rows "
            f"are in order; check source.time_format."
        )
    if made.label_time is not None:
        if seen.times.get(made.label_time) != made.time_format:
            made.label_time_format = seen.times.get(made.label_time) or "iso"
        _propose_maturity(seen.frame[made.event_time], seen.frame[made.label_time], made)
        _name_slow_segments(seen.frame, made)


def _name_slow_segments(frame: pd.DataFrame, made: Proposal) -> None:
    """Name kinds of rows whose labels take longer than the others': the maturity is of all rows together."""
    assert made.event_time is not None  # noqa: S101 - the caller has proposed both times
    assert made.label_time is not None  # noqa: S101 - as above
    now = max(frame[made.event_time].max(), frame[made.label_time].max())
    columns = sorted(map(str, frame), key=lambda name: pd.api.types.is_numeric_dtype(frame[name].dtype))  # texts first
    own = {made.event_time, made.label_time, made.target, *made.key}
    found = slow_segments(
        frame,
        [name for name in columns if name not in own],
        made.event_time,
        made.label_time,
        now,
        maturity=parse_duration(made.maturity) if made.maturity else None,
    )
    made.notes += [
        f"{one.summary[0].upper()}{one.summary[1:]}. maturity is of all rows together." for one in found if one.is_late
    ]


def _propose_maturity(events: pd.Series, known: pd.Series, made: Proposal) -> None:
    """Propose the time after which 99 % of the labels are known; a label that is missing may still come."""
    now = max(events.max(), known.max())
    found = label_delays(events, known, now)
    if found is None:
        delay = (known - events).dropna().dt.total_seconds() / 86_400
        made.maturity = f"{max(1, math.ceil(float(delay.quantile(0.99)))) if len(delay) else 1}d"
        return
    made.maturity = f"{found.maturity.days}d"
    made.maturity_reason = (
        f"99 % of the labels are known after {found.days:.3g} days ({found.lower:.3g} to {found.upper:.3g})"
    )
    if found.changed:
        made.notes.append("Labels of the newer half of the rows take another time than before; maturity is of these.")
    if found.coverage < _COVERED:
        made.notes.append(
            f"About {found.coverage:.0%} of the rows get a label at all; maturity is of the labels that come."
        )
    span = (now - events.min()).total_seconds() / 86_400
    if found.unsure:
        made.notes.append(
            f"The {span:.0f} days of the data are too few to tell labels that come late from labels that never come. "
            f"By the rate at which labels come, {made.maturity_reason}; `everfit monitor` estimates it at each look."
        )
    elif found.beyond:
        made.notes.append(
            f"Labels take longer than the {span:.0f} days of the data show: by the rate at which they come, "
            f"{made.maturity_reason}."
        )
    if found.beyond:
        made.notes.append(
            "No row is as old as maturity yet. Wait until there are some, or set a shorter maturity; rows whose labels "
            "come soon then count for more than others."
        )


def event_time_choices(seen: Look) -> list[TimeChoice]:
    """Return the columns that may be the time of the event, best first.

    A birth is never an event to predict for. A lasting property such as `customer_since` counts only if rows are in its
    order, or there is no other time; so does a time at which the outcome became known.
    """
    frame = seen.frame
    filled = [
        name
        for name in seen.times
        if frame[name].notna().mean() > _FILLED and frame[name].nunique() > 2 and not names.is_named_as_birth(name)
    ]
    filled = [name for name in filled if not _is_day_of_another(frame, name, filled)]
    properties = [name for name in filled if names.is_named_as_property(name) and not names.is_named_as_later(name)]
    later = [name for name in filled if names.is_named_as_later(name)]
    usual = [name for name in filled if name not in properties and name not in later]
    ordered = [name for name in (*properties, *later) if usual and _order(frame[name])[0] == _IN_ORDER]
    candidates = [*usual, *ordered] or properties or later
    choices = [_weigh(name, candidates, seen) for name in candidates]
    return sorted(choices, key=lambda choice: (-choice.points, frame[choice.column].median()))


def _is_day_of_another(frame: pd.DataFrame, name: str, others: Sequence[str]) -> bool:
    """Return whether a column has the days of another column's times, which say more of the same event."""
    if not _are_days(frame[name]):
        return False
    return any(
        not _are_days(frame[other]) and float((frame[other].dt.normalize() == frame[name]).mean()) > _SAME_DAY
        for other in others
        if other != name
    )


def _are_days(times: pd.Series) -> bool:
    present = times.dropna()
    return bool((present == present.dt.normalize()).all())


def _weigh(name: str, candidates: Sequence[str], seen: Look) -> TimeChoice:
    frame = seen.frame
    found = [
        _order(frame[name]),
        _new_keys(name, frame),
        _before_the_label(name, seen),
        _recency(name, candidates, frame),
        _name_sign(name),
        _same_by_entity(name, candidates, frame),
    ]
    return TimeChoice(
        name, sum(points for points, _ in found), tuple(words for points, words in found if points and words)
    )


def _order(times: pd.Series) -> tuple[int, str]:
    away, steps = disorder(times)
    if steps < _LEAST_STEPS or away > _MOSTLY_ORDERED:
        return 0, ""
    return (_IN_ORDER, "rows are in its order") if away <= _ORDERED else (1, "rows are mostly in its order")


def _new_keys(name: str, frame: pd.DataFrame) -> tuple[int, str]:
    """Weigh whether an identifier grows with the time, as it does where a key is given when the event happens."""
    some = frame.head(_SOME_ROWS)
    for other in frame.columns:
        if (
            pd.api.types.is_numeric_dtype(frame[other].dtype)
            and names.is_named_as_identifier(other)
            and has_whole_numbers(some[other])
            and distinct_share(some, [other]) > 1 - _ORDERED
        ):
            ranks = some[[other]].rank()[other].to_numpy(), some[name].rank().to_numpy()
            known = np.isfinite(ranks[0]) & np.isfinite(ranks[1])
            if known.sum() > _LEAST_STEPS and abs(np.corrcoef(ranks[0][known], ranks[1][known])[0, 1]) > _FOLLOWS:
                return 2, f"new values of {other!r} follow it"
    return 0, ""


def _before_the_label(name: str, seen: Look) -> tuple[int, str]:
    later = [other for other in seen.times if other != name and names.is_named_as_later(other)]
    for other in later:
        delay = (seen.frame[other] - seen.frame[name]).dropna()
        if len(delay) and float((delay >= pd.Timedelta(0)).mean()) > _FILLED:
            return 1, f"it is before {other!r}"
    return (-1, f"it is not before {later[0]!r}") if later else (0, "")


def _recency(name: str, candidates: Sequence[str], frame: pd.DataFrame) -> tuple[int, str]:
    if len(candidates) == 1:
        return 0, ""
    others = [
        other
        for other in candidates
        if other == name or not (names.is_named_as_planned(other) or names.is_named_as_written(other))
    ]
    newest: dict[str, Any] = {other: frame[other].quantile(0.99) for other in others}
    behind = max(newest.values()) - newest[name]
    if behind <= max(_RECENT, _RECENT_SHARE * spread(frame[name])):
        return 1, "its newest values are as new as any"
    return -1, f"its newest values are {behind.days:,} days older than those of another time"


def _name_sign(name: str) -> tuple[int, str]:
    if names.is_named_as_written(name):
        return -2, "it is called as the time at which the row was written"
    if names.is_named_as_planned(name):
        return -1, "it is called as a time that was planned"
    if names.is_named_as_the_event(name):
        return 2, "its name says so"
    if names.is_named_as_later(name):
        return -3, "it is called as a time at which the outcome became known"
    if names.is_named_as_property(name):
        return -2, "it is called as a lasting property"
    return (1, "its name suggests it") if names.is_named_as_event(name) else (0, "")


def _same_by_entity(name: str, candidates: Sequence[str], frame: pd.DataFrame) -> tuple[int, str]:
    """Weigh whether a time never changes for a thing that has several rows, where another time does."""
    for other in frame.columns:
        if other in candidates or not names.is_named_as_identifier(other):
            continue
        repeated = frame[frame[other].duplicated(keep=False) & frame[other].notna()].head(_SOME_ROWS)
        if len(repeated) < max(_WITHOUT_LABEL, 0.2 * min(len(frame), _SOME_ROWS)):
            continue
        values = repeated.groupby(other)[list(candidates)].nunique()
        same = (values <= 1).mean()
        if same[name] > _FILLED and float(same.min()) < 0.5:
            return -3, f"it is the same in all rows of one {other!r}"
    return 0, ""


def _label_time(seen: Look, made: Proposal) -> str | None:
    """Return a time after the event that is filled where the label is: called so, or empty where the label is."""
    frame, target = seen.frame, made.target
    event, labelled = frame[made.event_time], frame[target].notna()
    found = []
    for name in seen.times:
        filled, delay = frame[name].notna(), (frame[name] - event).dropna()
        if (
            name == made.event_time
            or not len(delay)
            or float((delay >= pd.Timedelta(0)).mean()) <= _FILLED
            or filled[labelled].mean() <= 0.9
        ):
            continue
        alone = (~labelled).sum() >= _WITHOUT_LABEL and float((filled == labelled).mean()) > _FILLED
        if alone or (names.is_named_as_later(name) and not names.is_named_as_planned(name)):
            found.append(name)
    namesakes, unlabelled = namesakes_of(target, found), int((~labelled).sum())
    # Where a time is there without the label, the label became known by another one.
    early = [
        name
        for name in found
        if unlabelled >= _WITHOUT_LABEL and float(frame[name][~labelled].notna().mean()) > 1 - _FILLED
    ]
    ordered = sorted(found, key=lambda name: (name in early, name not in namesakes))
    if len(ordered) > 1:
        made.notes.append(
            f"More than one column may be the time at which the label became known: {', '.join(map(repr, ordered))}. "
            f"Taken is {ordered[0]!r}. To take another, use --label-time."
        )
    return ordered[0] if ordered else None


def _no_event_time(seen: Look) -> str:
    births = [name for name in seen.times if names.is_named_as_birth(name)]
    why = f" ({births[0]!r} is a birth, and no event to predict for)" if births else ""
    return (
        f"The data has no column of times{why}. A row's time is the time of its ingestion, and the hold-out is a "
        "random sample, so the evaluation can't show whether the model stays good over time."
    )
