"""The events that everfit emits, each declared once. Pure; `everfit.tasks.core.events` emits them."""

from typing import Final, NamedTuple

TURN_FINISHED: Final = "everfit.turn.finished"
RELEASE_PROMOTED: Final = "everfit.release.promoted"
RELEASE_ROLLED_BACK: Final = "everfit.release.rolled-back"
APPROVAL_REQUESTED: Final = "everfit.approval.requested"
DATA_REJECTED: Final = "everfit.data.rejected"
DATA_ARRIVED: Final = "everfit.data.arrived"
DRIFT_DETECTED: Final = "everfit.drift.detected"
QUALITY_DEGRADED: Final = "everfit.quality.degraded"
LIMIT_EXCEEDED: Final = "everfit.limit.exceeded"
ESCALATED: Final = "everfit.escalated"
WINDOW_MONITORED: Final = "everfit.window.monitored"
NOTHING_TO_WATCH: Final = "everfit.window.nothing-to-watch"
CODE_MERGED: Final = "everfit.code.merged"
VERSION_NOT_SERVED: Final = "everfit.version.not-served"
ARTIFACTS_CHANGED: Final = "everfit.version.artifacts-changed"

INCIDENT_OPENED: Final = "everfit.incident.opened"
INCIDENT_UPDATED: Final = "everfit.incident.updated"
INCIDENT_CLOSED: Final = "everfit.incident.closed"


class EventDeclaration(NamedTuple):
    """The declaration of an event, from which the table in `docs/server.md` follows.

    Attributes:
        when: When it is emitted.
        payload: The fields of its payload, in Markdown.
    """

    when: str
    payload: str


EVENTS: Final[dict[str, EventDeclaration]] = {
    DATA_ARRIVED: EventDeclaration(
        "the source has new data",
        "`until`: data is known up to this moment, by default the time of the event; `reason`: text for "
        "the history; `id`: identifies the event, so that sending it twice triggers once. "
        "`watch-source` adds `new`, the first few new items, and `count`",
    ),
    CODE_MERGED: EventDeclaration(
        "spec or code changed",
        "`until`, `reason`, `id`, as above",
    ),
    TURN_FINISHED: EventDeclaration(
        "a turn is over, or waits for a person or a trial",
        "`turn_id`, `state`, `reasons`",
    ),
    DATA_REJECTED: EventDeclaration(
        "a turn ended as `DataRejected`",
        "`turn_id`, `reasons`",
    ),
    RELEASE_PROMOTED: EventDeclaration(
        "there is a new champion",
        "`release`: its `seq`, `version`, `previous_version`, `reason`, `actor`, `at`, `turn_id` and so on",
    ),
    RELEASE_ROLLED_BACK: EventDeclaration(
        "a former version is the champion again",
        "`release`, as above",
    ),
    APPROVAL_REQUESTED: EventDeclaration(
        "a challenger waits for a person",
        "`turn_id`, `version`, `run_id`, `champion_version`, `headline`, `asked_at`, `expires_at`, "
        "`evidence`: addresses",
    ),
    DRIFT_DETECTED: EventDeclaration(
        "a window has drifted",
        "`decision_id`, `until`, `reference`, `columns`",
    ),
    QUALITY_DEGRADED: EventDeclaration(
        "quality fell, or is estimated to have fallen",
        "`decision_id`, `until`, `reference`, `rule`, `reasons`, and `cause` if it was diagnosed",
    ),
    LIMIT_EXCEEDED: EventDeclaration(
        "a window is surely beyond a limit of fairness or calibration",
        "`decision_id`, `until`, `reference`, `verdict`, `rule`, and `limits`: of each its `name`, `label`, `value`, "
        "`low`, `high`, `limit`, `rows`, `groups`",
    ),
    ESCALATED: EventDeclaration(
        "triage needs a person",
        "`decision_id`, `until`, `reference`, `verdict`, `rule`, `reasons`",
    ),
    WINDOW_MONITORED: EventDeclaration(
        "a window was monitored without a failure",
        "`until`, `verdict`",
    ),
    NOTHING_TO_WATCH: EventDeclaration(
        "monitoring ran before the first champion",
        "`until`",
    ),
    VERSION_NOT_SERVED: EventDeclaration(
        "a service cannot serve a version",
        "`version`, `served`: the version that stays, `reason`",
    ),
    ARTIFACTS_CHANGED: EventDeclaration(
        "a version's files are not those that were registered",
        "`version`, `reason`",
    ),
    INCIDENT_OPENED: EventDeclaration(
        "people should know of a problem",
        "`incident`, `subject`, `severity`, `headline`, `message`: the text that is sent",
    ),
    INCIDENT_UPDATED: EventDeclaration(
        "an incident got worse, changed, or lasts",
        "as above",
    ),
    INCIDENT_CLOSED: EventDeclaration(
        "an incident is over",
        "as above",
    ),
}
"""Every event, in the order of the docs."""
