"""The evidence area `data`: whether a window's rows can be trusted."""

from collections.abc import Sequence
from datetime import datetime

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.data.suite import suite_of, suite_yields
from everfit.tasks.monitoring.live_predictions import LivePredictions
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals import expectations
from everfit.tasks.monitoring.signals.data_quality import DataQuality, Feed, data_quality
from everfit.tasks.monitoring.signals.renamed_class import renamed_class
from everfit.tasks.monitoring.signals.rhythm import LogRhythm, measure_rhythm
from everfit.tasks.monitoring.signals.silence import measure_silence
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.statistics.volume import VolumeCheck
from everfit.tasks.triage.signals import DataSignal, Problem

NO_RHYTHM = LogRhythm(VolumeCheck(weeks=0))
"""The rhythm of a log that is too short to have one."""


def check_data(window: MonitoredWindow) -> DataSignal:
    """Check the window's rows against the reference and the spec's expectations."""
    monitored, live, spec = window.monitored, window.live, window.monitored.context.spec
    profile = monitored.reference.profile
    expected = expected_rows(profile, monitored.windows.window, monitored.champion.released)
    workspace = monitored.context.workspace
    unmet = expectations.unmet(
        suite_of(spec, workspace) or (),
        live.sample,
        [*monitored.features, *monitored.texts],
        spec.expectations.max_bad_share,
        inferred=suite_yields(spec, workspace),
    )
    rhythm = measure_rhythm(window)
    if rhythm.expected is not None:
        expected = rhythm.expected
    signal = data_signal(
        live, window.mature_answers, profile, spec.monitoring, expected=expected, unmet=unmet, rhythm=rhythm
    )
    if (renamed := window.collected_labels.renamed) and not _renamed(window.mature_answers):
        problem = Problem(kind="renamed_class", column="the labels", summary=f"renamed class: {renamed}")
        signal = signal.model_copy(update={"bad": (*signal.bad, problem)})
    if live.rows:
        return signal
    log = monitored.context.workspace.table(spec.name, "predictions")
    silence = measure_silence(log, monitored.event_time, live.window.until, spec.monitoring.window)
    return signal.model_copy(update={"asked": silence.asked, "quiet": silence.quiet, "usual_quiet": silence.usual})


def expected_rows(profile: Profile, window: Window, released: datetime) -> float | None:
    """Return how many rows the window should have at the reference's pace; None if it has no beginning.

    Args:
        profile: The profile of the champion's reference.
        window: The window.
        released: The champion answers from here on.
    """
    if window.since is None:
        return None
    span = window.until - max(window.since, min(released, window.until))
    return profile.expected_rows(span) if span else 0.0


def data_signal(
    live: LivePredictions,
    labelled: LabelledPredictions | None,
    profile: Profile,
    policy: MonitoringPolicy,
    *,
    expected: float | None,
    unmet: Sequence[Problem] | None = (),
    rhythm: LogRhythm = NO_RHYTHM,
) -> DataSignal:
    """Return whether the window's data can be trusted.

    Args:
        live: The predictions of the window.
        labelled: The answers whose labels are mature; None if they could not be read.
        profile: The profile of the champion's reference.
        policy: The bounds of broken data.
        expected: Number of expected rows.
        unmet: The expectations that the rows fail; None if the rows are too few to tell.
        rhythm: The rhythm of the prediction log. Where it is known, it alone judges the number and the age of the rows.
    """
    feeds = []
    if not rhythm.volume.learnt or policy.data_quality.max_age is not None:
        pace = None if rhythm.volume.learnt else expected
        feeds.append(Feed(name="the prediction log", rows=live.rows, expected_rows=pace, newest=live.newest))
    if labelled is not None and len(labelled.rows):
        known = labelled.with_labels().rows
        newest = known[labelled.event_time].max().to_pydatetime() if len(known) else None
        age = policy.data_quality.max_age or policy.window
        allowed = age + (live.window.until - labelled.window.until)
        feeds.append(Feed(name="the labels", rows=len(known), newest=newest, max_age=allowed))
    quality = data_quality(profile, live.counts, policy, window=live.window, feeds=feeds)
    too_few = quality.status == "unknown" or unmet is None
    return DataSignal(
        status="not_enough" if too_few else "measured",
        reason=f"{live.rows:,} predictions are too few to check" if too_few else "",
        rows=live.rows,
        expected_rows=expected,
        bad=(*_problems(quality, "bad"), *(unmet or ()), *_renamed(labelled)),
        suspicious=(*_problems(quality, "suspect"), *_unusual(rhythm)),
        gaps=tuple(
            Problem(
                kind="gap",
                column=f"{span.since:%Y-%m-%dT%H}",
                summary=f"the prediction log: {span.summary}",
                share=round((span.mean - span.rows) / rhythm.volume.expected, 4) if rhythm.volume.expected else None,
            )
            for span in rhythm.volume.unusual
            if span.few
        ),
        rhythm_weeks=rhythm.volume.weeks if rhythm.volume.learnt else None,
    )


def _unusual(rhythm: LogRhythm) -> tuple[Problem, ...]:
    many = [span for span in rhythm.volume.unusual if not span.few]
    return (
        *(Problem(kind="volume", summary=f"the prediction log: {span.summary}") for span in many),
        *(Problem(kind=values.kind, column=values.column, summary=values.summary) for values in rhythm.values),
    )


def _renamed(labelled: LabelledPredictions | None) -> tuple[Problem, ...]:
    renamed = "" if labelled is None else renamed_class(labelled)
    return (Problem(kind="renamed_class", column="the labels", summary=renamed),) if renamed else ()


def _problems(quality: DataQuality, severity: str) -> tuple[Problem, ...]:
    return tuple(
        Problem(kind=finding.kind, column=finding.subject, summary=finding.summary)
        for finding in quality.findings
        if finding.severity == severity
    )
