"""The events that everfit emits, each declared once with its meaning. Pure; `everfit.tasks.core.events` emits them."""

from typing import Final

TURN_FINISHED: Final = "everfit.turn.finished"
RELEASE_PROMOTED: Final = "everfit.release.promoted"
RELEASE_ROLLED_BACK: Final = "everfit.release.rolled-back"
APPROVAL_REQUESTED: Final = "everfit.approval.requested"
DATA_REJECTED: Final = "everfit.data.rejected"
DATA_ARRIVED: Final = "everfit.data.arrived"
DRIFT_DETECTED: Final = "everfit.drift.detected"
QUALITY_DEGRADED: Final = "everfit.quality.degraded"
ESCALATED: Final = "everfit.escalated"
WINDOW_MONITORED: Final = "everfit.window.monitored"
NOTHING_TO_WATCH: Final = "everfit.window.nothing-to-watch"
CODE_MERGED: Final = "everfit.code.merged"
VERSION_NOT_SERVED: Final = "everfit.version.not-served"
ARTIFACTS_CHANGED: Final = "everfit.version.artifacts-changed"

EVENTS: Final[dict[str, str]] = {
    DATA_ARRIVED: "the source has new data",
    CODE_MERGED: "spec or code have changed",
    TURN_FINISHED: "a turn has ended, or waits",
    DATA_REJECTED: "a turn ended as `DataRejected`",
    RELEASE_PROMOTED: "there is a new champion",
    RELEASE_ROLLED_BACK: "an earlier version is the champion again",
    APPROVAL_REQUESTED: "a challenger waits for a person",
    DRIFT_DETECTED: "a window has drifted",
    QUALITY_DEGRADED: "quality is lost, or estimated to be",
    ESCALATED: "triage notifies a person",
    WINDOW_MONITORED: "a window was measured, and nothing failed",
    NOTHING_TO_WATCH: "monitoring ran before the first champion",
    VERSION_NOT_SERVED: "a service cannot serve a version",
    ARTIFACTS_CHANGED: "a version's files are not those that were registered",
}
"""Every event with its meaning, in the order of the docs."""
