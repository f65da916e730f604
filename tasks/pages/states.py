"""The states of a model as people see them, each declared once: the worst first."""

from typing import Literal

from everfit.tasks.core.records import Record

ModelState = Literal[
    "not_served",
    "losing",
    "data_broken",
    "waiting",
    "not_measured",
    "late",
    "watched",
    "not_looked_at",
    "no_champion",
    "fit",
    "retired",
]
Tone = Literal["bad", "care", "calm", "good"]


class StateDeclaration(Record):
    """A state: its name for people, how much it matters, and its meaning."""

    label: str
    tone: Tone
    meaning: str


STATES: dict[ModelState, StateDeclaration] = {
    "not_served": StateDeclaration(
        label="not served",
        tone="bad",
        meaning="the champion isn't confirmed by the prediction services, or the check of the services failed",
    ),
    "losing": StateDeclaration(
        label="losing quality",
        tone="bad",
        meaning="the last look found a loss of quality beyond the bound and beyond chance",
    ),
    "data_broken": StateDeclaration(
        label="data broken", tone="bad", meaning="the last look found data that nothing may be trained on"
    ),
    "waiting": StateDeclaration(
        label="waiting for a person",
        tone="care",
        meaning="a challenger waits for approval, triage needs a decision, or an incident is open",
    ),
    "not_measured": StateDeclaration(
        label="not measured", tone="care", meaning="a measurement of the last look failed, so nothing is known"
    ),
    "late": StateDeclaration(
        label="not looked at lately",
        tone="care",
        meaning="the last look is more than three times as old as the usual time between two looks; of a model with "
        "few looks, more than a month old",
    ),
    "watched": StateDeclaration(
        label="watched", tone="care", meaning="the last look found something unusual, but no loss that counts"
    ),
    "not_looked_at": StateDeclaration(
        label="not looked at yet", tone="calm", meaning="the champion has had no look since its release"
    ),
    "no_champion": StateDeclaration(label="no champion yet", tone="calm", meaning="no version was released yet"),
    "fit": StateDeclaration(
        label="fit", tone="good", meaning="the last look measured all that health needs and found no problem"
    ),
    "retired": StateDeclaration(label="retired", tone="calm", meaning="a person ended the model"),
}
"""In the order of the table of all models."""

ORDER = {state: place for place, state in enumerate(STATES)}
