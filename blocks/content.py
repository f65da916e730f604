"""What a model spec says: all that everfit must know of one model.

Here without Prefect, for what must start fast and be up while Prefect isn't; `everfit.blocks.spec` has it as a block.
"""

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from everfit.blocks.expectations import ExpectationsPolicy
from everfit.blocks.gating import GatePolicy
from everfit.blocks.metrics import DEFAULT_METRIC, TaskKind
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.policy import Duration, Policy, form_title, format_duration
from everfit.blocks.releasing import ReleasePolicy
from everfit.blocks.retraining import RetrainingPolicy
from everfit.blocks.sources import Source
from everfit.blocks.training import TrainingPolicy
from everfit.blocks.upkeep import UpkeepPolicy

SPEC_CONFIG = ConfigDict(extra="forbid", field_title_generator=form_title, hide_input_in_errors=True)
"""Inputs are hidden, for a traceback on a run's page would show a secret that is written wrongly."""

ARRIVED = "_arrived"
"""Column of everfit's own: the moment at which a row of a table without event times was taken in."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class ColumnRoles(Policy):
    """What each column of the table is for."""

    key: tuple[str, ...] = Field(
        default=(), description="The columns that together name a row; without it the whole row does."
    )
    event_time: str | None = Field(
        default=None,
        description="When the thing to predict happens; without it a row's time is when it was taken in, and the "
        "hold-out is a seeded sample.",
    )
    label_time: str | None = Field(
        default=None, description="When the true label became known; without it a label counts after `maturity`."
    )
    target: str = Field(description="The column to predict.")
    features: tuple[str, ...] | None = Field(
        default=None, description="What the model may look at; by default every column that is named nowhere else."
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="Columns that are kept out: known only after the event, or meaningless."
    )
    protected: tuple[str, ...] = Field(
        default=(), description="Columns by whose groups fairness is measured; they are features only if listed there."
    )

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        listed = self.named()
        if own := [name for name in listed if name.startswith("_")]:
            raise ValueError(f"{own[0]!r}: names that begin with an underscore are everfit's own; rename the column")
        features = self.features if self.features is not None else ()
        if self.target in features:
            raise ValueError(f"features: {self.target!r} is the target; a model can't be given what it is to predict")
        if self.label_time is not None and self.label_time in features:
            raise ValueError(f"features: {self.label_time!r} is the label time, known only with the label")
        if both := sorted({*self.ignore} & {*listed} - {self.label_time}):
            raise ValueError(f"ignore: {both[0]!r} is used elsewhere in columns; take it out of one of the two")
        named = [name for name in (self.event_time, self.label_time, self.target) if name is not None]
        if len(set(named)) != len(named):
            raise ValueError(f"event_time, label_time and target must be different columns; they are {named!r}")
        return self

    @property
    def time(self) -> str:
        """The column of the dataset that windows are cut by: the event time, or when the row was taken in."""
        return self.event_time or ARRIVED

    def named(self) -> tuple[str, ...]:
        """Every column that the source must have, in the order of the spec, each once."""
        times = (name for name in (self.event_time, self.label_time) if name is not None)
        return tuple(dict.fromkeys([*self.key, *times, self.target, *(self.features or ()), *self.protected]))

    def roles(self) -> frozenset[str]:
        """Every column that the spec names for something other than being looked at by the model."""
        times = {name for name in (self.event_time, self.label_time) if name is not None}
        return frozenset({*self.key, self.target, *self.ignore, *self.protected} | times)


class SpecContent(BaseModel):
    """All that everfit must know of one model."""

    model_config = SPEC_CONFIG

    name: ModelName = Field(
        description="The model's name, in the registry and everywhere else: lower case letters, digits and hyphens."
    )
    task: TaskKind = Field(description="What kind of thing is predicted.")
    source: Source = Field(description="Where its data comes from; without a `kind` it is `files`.")
    columns: ColumnRoles = Field(description="What each column is for.")
    maturity: Duration = Field(
        default=timedelta(0),
        description="How long after the event time labels are complete enough to be trained and scored on.",
    )
    expectations: ExpectationsPolicy = Field(
        default_factory=ExpectationsPolicy, description="What must hold of the data."
    )
    training: TrainingPolicy = Field(
        default_factory=TrainingPolicy, description="How candidates are trained, and on what."
    )
    gate: GatePolicy = Field(default_factory=GatePolicy, description="What a challenger must show to be released.")
    monitoring: MonitoringPolicy = Field(
        default_factory=MonitoringPolicy, description="What is watched, and by which bounds."
    )
    retraining: RetrainingPolicy = Field(
        default_factory=RetrainingPolicy, description="What calls for a new training, and how often at most."
    )
    release: ReleasePolicy = Field(default_factory=ReleasePolicy, description="How a new champion takes its place.")
    upkeep: UpkeepPolicy = Field(default_factory=UpkeepPolicy, description="How long what the model leaves is kept.")

    @model_validator(mode="after")
    def _task_fits(self) -> Self:
        self.training.check(self.task)
        self.gate.check(self.task, self.metric)
        learnt_from = self.maturity + (self.training.widest or self.training.holdout)
        self.upkeep.check(learnt_from, self.maturity + self.monitoring.window)
        if self.gate.conversion and self.release.format == "skops":
            raise ValueError(
                "gate.conversion: nothing is converted to 'skops'; set release.format to onnx, or leave it out"
            )
        if self.columns.event_time is None and self.maturity and self.columns.label_time is None:
            raise ValueError(
                f"maturity: {format_duration(self.maturity)!r} counts from the event time, and columns.event_time "
                f"names none; name it, or take the maturity out"
            )
        return self

    @property
    def metric(self) -> str:
        """The primary metric: what training selects by, the gate compares and monitoring watches."""
        return self.training.metric or DEFAULT_METRIC[self.task]

    def content(self) -> dict[str, Any]:
        """The spec as plain data, as one would write it in YAML."""
        return self.model_dump(mode="json", include=set(type(self).model_fields))  # not what Prefect adds to a block

    def digest(self) -> str:
        """SHA-256 of the content, in hex: equal specs have equal digests."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()
