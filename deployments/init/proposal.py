"""The proposal of `everfit init` for a model spec."""

from dataclasses import dataclass, field

from everfit.blocks.metrics import TaskKind
from everfit.tasks.storage.kinds import Amount


@dataclass
class Proposal:
    """The proposed content of a spec.

    Attributes:
        name: The name of the model.
        task: The kind of prediction.
        target: The column to predict.
        key: The columns that identify a row.
        entity: The column whose rows hang together, such as the customer.
        event_time: The column with the time of the event.
        event_time_signs: The signs by which it was chosen, each in words.
        label_time: The column with the time at which the label became known.
        time_format: The format of times; None for ISO 8601.
        label_time_format: The format of the label time, if it differs; `iso` for ISO 8601.
        features: The columns that the model may use.
        texts: The features of free text.
        numbers: How the numbers of columns of text are written.
        any_spelling: Columns whose values could be taken for the same, however they are spelled.
        doubtful: Features to check, each with the reason.
        ignored: The ignored columns, each with the reason.
        protected: Columns whose groups fairness could be measured by.
        maturity: The time from the event to the label, as a duration.
        maturity_reason: How long labels take, with an interval; empty if that was not estimated.
        holdout: The length of the hold-out; None for a random sample.
        holdout_rows: About how many rows the hold-out has.
        window: The length of a monitoring window; None for the default.
        window_rows: About how many labelled rows a window has.
        least_labels: The smallest number of labels that quality is judged by; None for the default.
        least_rows: The smallest number of hold-out rows; None for the default of the gate.
        least_class_rows: The smallest number of its rarest class; None for the default of the gate.
        candidates: The candidates; empty for the defaults.
        notes: Further notes for a person.
    """

    name: str
    task: TaskKind
    target: str
    key: tuple[str, ...] = ()
    entity: str | None = None
    event_time: str | None = None
    event_time_signs: tuple[str, ...] = ()
    label_time: str | None = None
    time_format: str | None = None
    label_time_format: str | None = None
    features: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    numbers: dict[str, Amount] = field(default_factory=dict)
    any_spelling: list[str] = field(default_factory=list)
    doubtful: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    protected: list[str] = field(default_factory=list)
    maturity: str | None = None
    maturity_reason: str = ""
    holdout: str | None = None
    holdout_rows: int = 0
    window: str | None = None
    window_rows: int = 0
    least_labels: int | None = None
    least_rows: int | None = None
    least_class_rows: int | None = None
    candidates: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
