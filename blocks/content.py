"""The content of a model spec.

This module doesn't import Prefect, so that the prediction service starts fast and runs while Prefect is down.
`everfit.blocks.spec` makes a block of it.
"""

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from everfit.blocks.columns import ColumnRoles
from everfit.blocks.expectations import ExpectationsPolicy
from everfit.blocks.gating import GatePolicy
from everfit.blocks.joins import Join, contradiction, joined_columns, lifted
from everfit.blocks.metrics import DEFAULT_METRIC, TaskKind
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.notifying import NotifyPolicy, is_default_notify
from everfit.blocks.policy import Duration, form_title, format_duration
from everfit.blocks.releasing import ReleasePolicy
from everfit.blocks.retraining import RetrainingPolicy
from everfit.blocks.roles import RolesPolicy
from everfit.blocks.schedules import SchedulesPolicy, is_default
from everfit.blocks.sources import Source
from everfit.blocks.training import DASK_TRAINERS, TrainingPolicy
from everfit.blocks.upkeep import UpkeepPolicy

SPEC_CONFIG = ConfigDict(extra="forbid", field_title_generator=form_title, hide_input_in_errors=True)
"""Inputs are hidden, since a traceback on a run's page would show a misplaced secret."""

PAGES_FOLDER = "pages"
"""The folder of the workspace that has the pages of all models; the other folders have the names of models."""


def _not_reserved(name: str) -> str:
    if name == PAGES_FOLDER:
        raise ValueError(f"{name!r} is the folder of the workspace with the pages of models; choose another name")
    return name


ModelName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), AfterValidator(_not_reserved)
]


class SpecContent(BaseModel):
    """The specification of one model: data, training, gate, monitoring and release."""

    model_config = SPEC_CONFIG

    name: ModelName = Field(
        description="The model's name in the registry and everywhere else: lower case letters, digits and hyphens."
    )
    task: TaskKind = Field(description="The kind of prediction: two classes, more classes, or a number.")
    source: Source = Field(description="The source of the model's data. Without a `kind` it is `files`.")
    joins: tuple[Join, ...] = Field(
        default=(),
        exclude_if=lambda joins: not joins,
        description="Sources that are joined to the rows as of the event. The key may also be written as "
        "`source.joins`.",
    )
    columns: ColumnRoles = Field(description="The role of each column.")
    maturity: Duration = Field(
        default=timedelta(0),
        description="The time after the event at which labels are complete enough to train and score on.",
    )
    expectations: ExpectationsPolicy = Field(
        default_factory=ExpectationsPolicy, description="The expectations that the data must meet."
    )
    training: TrainingPolicy = Field(
        default_factory=TrainingPolicy, description="How candidates are trained, and on which rows."
    )
    gate: GatePolicy = Field(
        default_factory=GatePolicy, description="The checks that a challenger must pass before it is released."
    )
    monitoring: MonitoringPolicy = Field(
        default_factory=MonitoringPolicy,
        description="The signals that are measured while the model serves, and their limits.",
    )
    retraining: RetrainingPolicy = Field(
        default_factory=RetrainingPolicy,
        description="The causes of a new training, and how often it may start by itself.",
    )
    release: ReleasePolicy = Field(
        default_factory=ReleasePolicy, description="How a new champion takes over from the old one."
    )
    upkeep: UpkeepPolicy = Field(
        default_factory=UpkeepPolicy, description="How long the model's rows, files and versions are kept."
    )

    roles: RolesPolicy = Field(
        default_factory=RolesPolicy,
        exclude_if=is_default,
        description="The people with the right to each action by hand.",
    )
    schedules: SchedulesPolicy = Field(
        default_factory=SchedulesPolicy,
        exclude_if=is_default,
        description="When the model's flows run by themselves on a Prefect server.",
    )

    owner: str = Field(
        default="",
        exclude_if=lambda owner: not owner,
        description="The person or team that the model belongs to, as messages name them.",
    )
    notify: NotifyPolicy = Field(
        default_factory=NotifyPolicy,
        exclude_if=is_default_notify,
        description="The notification blocks that the model's messages go to, by severity.",
    )

    @model_validator(mode="before")
    @classmethod
    def _lift_joins(cls, content: Any) -> Any:
        return lifted(content)

    @model_validator(mode="after")
    def _joins_fit(self) -> Self:
        roles = self.columns
        taken = dict.fromkeys(roles.key, "part of the key") | {roles.target: "the target"}
        taken |= {roles.event_time: "the event time"} if roles.event_time else {}
        taken |= {roles.label_time: "the label time"} if roles.label_time else {}
        if problem := contradiction(self.joins, roles.event_time, taken):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _many_rows_fit(self) -> Self:
        distant = next((name for name in self.training.candidates if name in DASK_TRAINERS), None)
        if distant is not None and self.columns.event_time is None:
            raise ValueError(
                f"training.candidates: {distant!r} is fitted by workers that read the rows by their event time, but "
                f"columns.event_time is not set; set it, or use {DASK_TRAINERS[distant][0]!r}"
            )
        if self.training.sample is not None and self.columns.event_time is None:
            raise ValueError(
                "training.sample: the sample is taken by event time, but columns.event_time is not set; set it, or "
                "remove the sample"
            )
        if distant is not None and self.training.fresh_labels == "weighted":
            raise ValueError(
                f"training.fresh_labels: {distant!r} is fitted by workers, which see mature labels alone; remove "
                f"fresh_labels, or use {DASK_TRAINERS[distant][0]!r}"
            )
        return self

    @model_validator(mode="after")
    def _task_fits(self) -> Self:
        self.training.check(self.task)
        self.gate.check(self.task, self.metric)
        if self.task == "regression" and self.columns.target in self.columns.any_spelling:
            raise ValueError(
                f"columns.any_spelling: {self.columns.target!r} is the target, a number; remove it from any_spelling"
            )
        if self.task != "regression" and self.columns.target in self.columns.numbers:
            raise ValueError(
                f"columns.numbers: {self.columns.target!r} is the target, whose values are classes; remove it from "
                "numbers"
            )
        if joined := sorted({*self.columns.numbers} & {*joined_columns(self.joins)}):
            raise ValueError(
                f"columns.numbers: {joined[0]!r} is a column of a joined source; write it as plain numbers there"
            )
        if self.training.fresh_labels == "weighted" and (self.columns.label_time is None or not self.maturity):
            raise ValueError(
                "training.fresh_labels: columns.label_time and maturity say which labels are known early; set both, or "
                "remove fresh_labels"
            )
        if self.training.fresh_labels == "weighted" and not self.training.refit:
            raise ValueError(
                "training.fresh_labels: without training.refit there is no final fit that could learn from fresh rows; "
                "remove one of the two"
            )
        learnt_from = self.maturity + (self.training.widest or self.training.holdout)
        self.upkeep.check(learnt_from, self.maturity + self.monitoring.window)
        if self.gate.conversion and self.release.format == "skops":
            raise ValueError(
                "gate.conversion: the format 'skops' needs no conversion; set release.format to onnx, or remove "
                "gate.conversion"
            )
        self.release.serving.check(self.task)
        if self.columns.entity is not None and self.gate.resample != "auto":
            raise ValueError(
                f"gate.resample: under {self.gate.resample!r} the rows of one {self.columns.entity!r} (columns.entity) "
                "would not count as a whole; remove gate.resample, or columns.entity"
            )
        if self.columns.event_time is None and self.maturity and self.columns.label_time is None:
            raise ValueError(
                f"maturity: {format_duration(self.maturity)!r} counts from the event time, but columns.event_time "
                f"is not set; set it, or remove the maturity"
            )
        return self

    @property
    def own_columns(self) -> ColumnRoles:
        """The roles of the columns of the model's own source: without those that joins add, with those they join on."""
        if not self.joins:
            return self.columns
        roles = self.columns
        on = [name for join in self.joins for name in join.on if name not in roles.named()]
        return roles.without(joined_columns(self.joins)).also_naming(on)

    @property
    def joined_columns(self) -> ColumnRoles:
        """The roles of the columns of joined rows; the columns that joins add and those they join on are named."""
        names = [name for join in self.joins for name in (*join.on, *join.columns)]
        return self.columns.also_naming([name for name in names if name not in self.columns.named()])

    @property
    def metric(self) -> str:
        """The primary metric of training, gate and monitoring."""
        return self.training.metric or DEFAULT_METRIC[self.task]

    def content(self) -> dict[str, Any]:
        """Return the spec as plain data, as in YAML."""
        return self.model_dump(
            mode="json", include=set(type(self).model_fields)
        )  # without the fields that Prefect adds to a block

    def digest(self) -> str:
        """Return the SHA-256 of the content, in hex. Equal specs have equal digests."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()
