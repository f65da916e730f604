"""What `everfit init` proposes for a model spec."""

from dataclasses import dataclass, field

from everfit.blocks.metrics import TaskKind


@dataclass
class Proposal:
    """A spec in the making.

    Attributes:
        name: Of the model.
        task: The kind of target.
        target: The column to predict.
        key: The columns that name a row.
        event_time: When the thing to predict happens.
        label_time: When its label is known.
        time_format: How times are written.
        features: What the model may look at.
        ignored: What is left out, and why.
        protected: Columns by whose groups fairness could be measured.
        maturity: From the event to the label.
        holdout: How much of the end is kept out; None if a sample is.
        least_rows: How many rows the hold-out must have; None for the gate's own number.
        least_class_rows: How many of its rarest class; None for the gate's own number.
        candidates: What is tried; empty for the defaults.
        notes: What else a person should know.
    """

    name: str
    task: TaskKind
    target: str
    key: tuple[str, ...] = ()
    event_time: str | None = None
    label_time: str | None = None
    time_format: str | None = None
    features: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    protected: list[str] = field(default_factory=list)
    maturity: str | None = None
    holdout: str | None = None
    least_rows: int | None = None
    least_class_rows: int | None = None
    candidates: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
