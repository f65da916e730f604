"""Whether the rows of a window are broken rather than changed: what tells a stuck sensor from a change of weather.

Pure: the reference's profile, counts over its cells and what is known of each feed in, frozen findings out. A finding
is `bad` when retraining on such rows would teach the model an error, and `suspect` when it may be a true change.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import AwareDatetime, Field

from everfit.blocks.monitoring import DataQualityPolicy, MonitoringPolicy
from everfit.blocks.policy import Duration, format_duration
from everfit.tasks.core.records import Record, Window
from everfit.tasks.statistics.histograms import ColumnHistogram, Histograms
from everfit.tasks.statistics.profile import ColumnProfile, Profile
from everfit.tasks.statistics.run_lengths import longest_within

DataFindingKind = Literal[
    "absent_column",
    "broken_sensor",
    "frozen_feed",
    "implausible",
    "missing",
    "not_numeric",
    "out_of_range",
    "renamed_category",
    "repeated_rows",
    "stale_feed",
    "unseen_category",
    "volume",
]
Severity = Literal["bad", "suspect"]

FEWEST_ROWS = 50
"""Fewer rows say nothing about shares."""

_OFTEN_EMPTY, _MOSTLY_EMPTY = 0.05, 0.5
"""Shares of missing values in the reference: from the first one on a model has learnt what a missing value means."""


class Feed(Record):
    """The arrival of one stream of rows, such as the prediction log or the labels."""

    name: str
    rows: int = Field(ge=0, description="Rows in the window.")
    expected_rows: float | None = Field(default=None, description="Rows that windows of this length used to have.")
    newest: AwareDatetime | None = Field(default=None, description="Event time of the newest row, None without any.")
    max_age: Duration | None = Field(default=None, description="Allowed age of it at the window's end.")


class DataFinding(Record):
    """One thing that is wrong or strange."""

    kind: DataFindingKind
    severity: Severity
    subject: str = Field(description="The column or feed; several are separated by commas.")
    value: float | None = Field(description="The measured value, by kind: a share of rows, or hours.")
    bound: float = Field(description="The allowed value.")
    summary: str


class DataQuality(Record):
    """Whether a window's rows can be trusted."""

    status: Literal["good", "suspect", "bad", "unknown"] = Field(description="Unknown when there are too few rows.")
    rows: int
    findings: tuple[DataFinding, ...] = ()
    window: Window | None = None


def data_quality(
    reference: Profile,
    current: Histograms,
    policy: MonitoringPolicy,
    *,
    window: Window | None = None,
    feeds: Sequence[Feed] = (),
) -> DataQuality:
    """Find what is broken in the rows of a window.

    Args:
        reference: The champion's profile; its columns of predictions aren't looked at.
        current: The window's rows counted over that profile's cells.
        policy: The bounds; columns that it ignores are checked for being there and filled, not for their values.
        window: The span of event time; feeds are judged for age only when it is given.
        feeds: The arrival of the prediction log and of the labels.

    Returns:
        The findings, those about feeds first, then by column in the profile's order.
    """
    bounds = policy.data_quality
    findings = [finding for feed in feeds for finding in _feed(feed, bounds, window, policy.window)]
    if current.rows >= FEWEST_ROWS:
        pairs = [
            (profile, counts)
            for profile, counts in zip(reference.columns, current.columns, strict=True)
            if profile.role == "feature"
        ]
        findings += _repeated(reference, current, bounds)
        monitored = [pair for pair in pairs if not policy.ignored(pair[0].name)]
        stuck = stuck_columns(monitored, bounds)
        findings += _frozen(stuck, len(monitored), bounds)
        for profile, counts in pairs:
            findings += _filled(profile, counts, bounds)
            if counts.values >= FEWEST_ROWS and profile.name not in stuck and not policy.ignored(profile.name):
                findings += (_range if profile.kind == "numeric" else _categories)(profile, counts, bounds)
    severities = {finding.severity for finding in findings}
    status = "good"
    if "bad" in severities:
        status = "bad"
    elif current.rows < FEWEST_ROWS:
        status = "unknown"
    elif severities:
        status = "suspect"
    return DataQuality.model_validate(
        {"status": status, "rows": current.rows, "findings": tuple(findings), "window": window}
    )


def _feed(feed: Feed, bounds: DataQualityPolicy, window: Window | None, default: Duration) -> Iterator[DataFinding]:
    # Where less than one row is expected, none is no news.
    if feed.expected_rows and feed.expected_rows >= 1 and feed.rows < bounds.volume_share * feed.expected_rows:
        share = feed.rows / feed.expected_rows
        summary = f"{feed.name}: {feed.rows:,} rows where about {feed.expected_rows:,.0f} were expected"
        yield _finding("volume", "suspect", feed.name, (share, bounds.volume_share), summary)
    if window is None:
        return
    allowed = feed.max_age or bounds.max_age or default
    if feed.newest is None:
        summary = f"{feed.name}: no row has come at all"
        yield _finding("stale_feed", "suspect", feed.name, (None, allowed.total_seconds() / 3600), summary)
    elif (age := window.until - feed.newest) > allowed:
        summary = (
            f"{feed.name}: the newest row is of {feed.newest:%Y-%m-%d %H:%M}, older than {format_duration(allowed)}"
        )
        hours = age.total_seconds() / 3600
        yield _finding("stale_feed", "suspect", feed.name, (hours, allowed.total_seconds() / 3600), summary)


def _repeated(reference: Profile, current: Histograms, bounds: DataQualityPolicy) -> Iterator[DataFinding]:
    before, now = reference.repeated_rows / max(1, reference.rows), current.repeated_rows / current.rows
    if now - before < bounds.repeated_share:
        return
    nearly_all = now >= bounds.frozen_share
    summary = f"{now:.0%} of the rows repeat an earlier one in every feature, {before:.0%} did in the reference"
    kind: DataFindingKind = "frozen_feed" if nearly_all else "repeated_rows"
    yield _finding(kind, "bad" if nearly_all else "suspect", "rows", (now, before + bounds.repeated_share), summary)


def stuck_columns(
    pairs: Sequence[tuple[ColumnProfile, ColumnHistogram]], bounds: DataQualityPolicy
) -> dict[str, float]:
    """The columns that hold one value though they varied over as many rows of the reference, and that value's share."""
    stuck: dict[str, float] = {}
    for profile, counts in pairs:
        if counts.values < FEWEST_ROWS:
            continue
        natural = longest_within(profile.spells, counts.rows).one_value
        share = max(counts.frequent.values(), default=0) / counts.values
        if natural < bounds.frozen_share and share >= max(bounds.frozen_share, min(1.0, natural + 0.05)):
            stuck[profile.name] = share
    return stuck


def _frozen(stuck: dict[str, float], columns: int, bounds: DataQualityPolicy) -> Iterator[DataFinding]:
    if len(stuck) > 1 and len(stuck) * 3 >= columns:
        names, lowest = ", ".join(stuck), min(stuck.values())
        summary = f"{len(stuck)} of {columns} columns hold one value each and used to vary: {names}"
        yield _finding("frozen_feed", "bad", names, (lowest, bounds.frozen_share), summary)
        return
    for name, share in stuck.items():
        summary = f"{name}: {share:.0%} of the rows hold one single value, and it used to vary"
        yield _finding("broken_sensor", "bad", name, (share, bounds.frozen_share), summary)


def _filled(profile: ColumnProfile, counts: ColumnHistogram, bounds: DataQualityPolicy) -> Iterator[DataFinding]:
    name, before, now = profile.name, profile.missing_share, counts.missing_share
    invalid = counts.invalid / counts.rows
    natural = longest_within(profile.spells, counts.rows).missing
    if not counts.present:
        summary = f"{name}: the rows don't have this column any more"
        yield _finding("absent_column", "bad", name, (1.0, 0.0), summary)
    elif invalid > bounds.implausible_share:
        summary = f"{name}: {invalid:.1%} of the rows hold something that is no number"
        yield _finding("not_numeric", "bad", name, (invalid, bounds.implausible_share), summary)
    elif now - before >= bounds.missing_jump and now >= min(1.0, natural + 0.05):
        summary = f"{name}: {now:.0%} of the rows have no value, {before:.0%} had none in the reference"
        # A column that is often empty anyway means something by it, such as no gusts on a calm day. More of that is a
        # change, and no fault, unless a column that was mostly filled is hardly ever filled now.
        often, emptied = before >= _OFTEN_EMPTY, before < _MOSTLY_EMPTY and now >= bounds.frozen_share
        severity: Severity = "suspect" if often and not emptied else "bad"
        yield _finding("missing", severity, name, (now, before + bounds.missing_jump), summary)


def _range(profile: ColumnProfile, counts: ColumnHistogram, bounds: DataQualityPolicy) -> Iterator[DataFinding]:
    name, now = profile.name, f"{counts.minimum:g} to {counts.maximum:g}"
    if profile.minimum is None or profile.maximum is None:
        summary = f"{name}: the reference has no value in this column, and {counts.values:,} rows have one now ({now})"
        yield _finding("out_of_range", "suspect", name, (1.0, bounds.out_of_range_share), summary)
        return
    before = f"{profile.minimum:g} to {profile.maximum:g}"
    implausible, outside = counts.implausible / counts.values, counts.outside / counts.values
    if implausible > bounds.implausible_share:
        summary = (
            f"{name}: {implausible:.1%} of the values are more than {bounds.implausible_ranges:g} times the range of "
            f"{before} away from it ({now}): a code for missing, or another unit"
        )
        yield _finding("implausible", "bad", name, (implausible, bounds.implausible_share), summary)
    elif outside > bounds.out_of_range_share:
        summary = f"{name}: {outside:.1%} of the values, which are {now}, lie outside of {before}"
        yield _finding("out_of_range", "suspect", name, (outside, bounds.out_of_range_share), summary)


def _categories(profile: ColumnProfile, counts: ColumnHistogram, bounds: DataQualityPolicy) -> Iterator[DataFinding]:
    unseen = counts.cells[-1] / counts.values
    if unseen <= bounds.unseen_share:
        return
    name = profile.name
    if pairs := renamed(profile, counts):
        changes = ", ".join(f"{old!r} seems to be called {new!r} now" for old, new in pairs.items())
        yield _finding("renamed_category", "bad", name, (unseen, bounds.unseen_share), f"{name}: {changes}")
        return
    some = ", ".join(repr(category) for category in counts.unseen_first[:5])
    summary = f"{name}: {unseen:.1%} of the rows hold categories that the reference doesn't have, such as {some}"
    yield _finding("unseen_category", "suspect", name, (unseen, bounds.unseen_share), summary)


def renamed(profile: ColumnProfile, counts: ColumnHistogram) -> dict[str, str]:
    """Return the categories of the reference that have another name now, old to new; empty if there are none.

    An unseen category is an old one's new name when both differ in case, spaces or punctuation alone. Otherwise the
    categories that have vanished and those that have come must be equally many, and of like shares in order of size.
    A category that was hardly used at the end of the reference has not been renamed since: months by name go so.
    """
    by_spelling = {_spelling(category): category for category in (*profile.categories, *profile.others)}
    unseen = {category: counts.unseen[category] / counts.values for category in counts.unseen_first}
    respelt = {by_spelling[_spelling(new)]: new for new in unseen if _spelling(new) in by_spelling}
    if respelt:
        return respelt
    filled = profile.rows - profile.missing
    vanished = {
        category: before / filled
        for category, before, now in zip(profile.categories, profile.cells, counts.cells, strict=False)
        if now == 0
        and category not in profile.waned
        and before / filled >= 0.01
        and before / filled * counts.values >= 10
    }
    come = [(category, share) for category, share in unseen.items() if share >= 0.01]
    if len(vanished) != len(come) or profile.distinct < 2:
        return {}
    pairs = list(zip(sorted(vanished.items(), key=lambda item: -item[1]), come, strict=True))
    alike = all(0.5 <= now / before <= 2 for (_, before), (_, now) in pairs)
    return {old: new for (old, _), (new, _) in pairs} if alike else {}


def _spelling(category: str) -> str:
    return re.sub(r"[\W_]+", "", category.casefold()) or category


def _finding(
    kind: DataFindingKind, severity: Severity, subject: str, measured: tuple[float | None, float], summary: str
) -> DataFinding:
    value, bound = measured
    return DataFinding(kind=kind, severity=severity, subject=subject, value=value, bound=bound, summary=summary)
