"""The content of a model spec.

This module doesn't import Prefect, so that the prediction service starts fast and runs while Prefect is down.
`everfit.blocks.spec` makes a block of it.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from everfit.blocks.expectations import ExpectationsPolicy
from everfit.blocks.gating import GatePolicy
from everfit.blocks.joins import Join, contradiction, joined_columns, lifted
from everfit.blocks.metrics import DEFAULT_METRIC, TaskKind
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.notifying import NotifyPolicy, is_default_notify
from everfit.blocks.policy import Duration, Policy, form_title, format_duration
from everfit.blocks.releasing import ReleasePolicy
from everfit.blocks.retraining import RetrainingPolicy
from everfit.blocks.roles import RolesPolicy
from everfit.blocks.schedules import SchedulesPolicy, is_default
from everfit.blocks.sources import Source
from everfit.blocks.training import TrainingPolicy
from everfit.blocks.upkeep import UpkeepPolicy

SPEC_CONFIG = ConfigDict(extra="forbid", field_title_generator=form_title, hide_input_in_errors=True)
"""Inputs are hidden, since a traceback on a run's page would show a misplaced secret."""

ARRIVED = "_arrived"
"""A column of everfit's own: the time of ingestion of a row without an event time."""

PAGES_FOLDER = "pages"
"""The folder of the workspace that has the pages of all models; the other folders have the names of models."""


def _not_reserved(name: str) -> str:
    if name == PAGES_FOLDER:
        raise ValueError(f"{name!r} is the folder of the workspace with the pages of models; choose another name")
    return name


ModelName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), AfterValidator(_not_reserved)
]


class ColumnRoles(Policy):
    """The role of each column of the table."""

    key: tuple[str, ...] = Field(
        default=(),
        description="The columns that together identify a row. Without a key the whole row identifies itself, and "
        "labels find their predictions by the event time and the listed `features`; labels by hand and "
        "`everfit forget` need a key.",
    )
    event_time: str | None = Field(
        default=None,
        description="The time of the event to predict. If omitted, a row's time is the moment of its ingestion, "
        "and the hold-out is a seeded random sample.",
    )
    label_time: str | None = Field(
        default=None,
        description="The time at which the true label became known. If omitted, a label counts as known after "
        "`maturity`.",
    )
    target: str = Field(description="The column to predict.")
    features: tuple[str, ...] | None = Field(
        default=None,
        description="The columns that the model may use. If omitted, the model uses every column that has no "
        "other role.",
    )
    text: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda text: not text,
        description="The features that hold free text, such as a message. The model learns from their words, in which "
        "HTML is passed over; other features of text are categories.",
    )
    any_spelling: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="Columns of text whose values mean the same, however they are spelled: with other blanks, letter "
        "case or Unicode form, such as `North` and `NORTH `. Wherever they come from, they are held in lower case with "
        "single blanks, also the key and the classes. The first batch decides it.",
    )
    ignore: tuple[str, ...] = Field(
        default=(),
        description="Columns that the model must not use, because they are known only after the event or carry no"
        " meaning.",
    )
    protected: tuple[str, ...] = Field(
        default=(),
        description="Columns whose groups fairness is measured by. The model uses them only if `features` lists "
        "them too.",
    )

    entity: str | None = Field(
        default=None,
        exclude_if=lambda entity: entity is None,
        description="The column whose rows hang together, such as the customer or the machine. The gate and triage "
        "count all rows of one value as a whole, so that many rows of few customers don't pass for much evidence. The "
        "model uses it only if `features` lists it too.",
    )

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        listed = self.named()
        if self.entity is not None and self.entity in {self.event_time, self.label_time, self.target}:
            raise ValueError(
                f"entity: {self.entity!r} is a time or the target, so its values name nothing that rows belong to; "
                "give a column such as the customer, or remove entity"
            )
        if own := [name for name in listed if name.startswith("_")]:
            raise ValueError(
                f"{own[0]!r}: names that begin with an underscore are reserved, and the column is read as "
                f"{own[0].lstrip('_')!r}; write that name"
            )
        features = self.features if self.features is not None else ()
        if missing := [name for name in self.text if self.features is not None and name not in features]:
            raise ValueError(f"text: {missing[0]!r} is not among the features; add it to columns.features")
        if taken := sorted({*self.text} & {*self.key, self.target, *self.ignore, self.event_time, self.label_time}):
            raise ValueError(f"text: {taken[0]!r} has another role in columns; remove it from one of the two")
        if taken := sorted({*self.any_spelling} & {*self.ignore, *self.text, self.event_time, self.label_time}):
            raise ValueError(
                f"any_spelling: {taken[0]!r} is ignored, free text or a time, so the spelling of its values does not "
                "matter; remove it from any_spelling"
            )
        if self.target in features:
            raise ValueError(
                f"features: {self.target!r} is the target, so the model can't use it; remove it from the features"
            )
        if self.label_time is not None and self.label_time in features:
            raise ValueError(
                f"features: {self.label_time!r} is the label time, which is known only with the label; "
                f"remove it from the features"
            )
        # The entity is no feature anyway, unless it is listed as one.
        free = {self.label_time, *({self.entity} - {*self.key, *features, *self.protected})}
        if both := sorted({*self.ignore} & {*listed} - free):
            raise ValueError(f"ignore: {both[0]!r} has another role in columns; remove it from one of the two")
        named = [name for name in (self.event_time, self.label_time, self.target) if name is not None]
        if len(set(named)) != len(named):
            raise ValueError(f"event_time, label_time and target must be different columns; they are {named!r}")
        return self

    @property
    def time(self) -> str:
        """The time column of the dataset: the event time, or the time of ingestion."""
        return self.event_time or ARRIVED

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which labels find their predictions where there is no key: event time and named features."""
        if self.key or self.event_time is None:
            return ()
        return tuple(dict.fromkeys([self.event_time, *self.features])) if self.features else ()

    def named(self) -> tuple[str, ...]:
        """Return the columns that the source must have, in the order of the spec, each once."""
        times = (name for name in (self.event_time, self.label_time) if name is not None)
        entity = () if self.entity is None else (self.entity,)
        return tuple(
            dict.fromkeys(
                [
                    *self.key,
                    *times,
                    self.target,
                    *(self.features or ()),
                    *self.text,
                    *self.any_spelling,
                    *self.protected,
                    *entity,
                ]
            )
        )

    def without(self, names: Collection[str]) -> Self:
        """Return the roles without some columns, which are neither the key, nor a time, nor the target."""

        def rest(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in columns if name not in names)

        changed = {
            "features": None if self.features is None else rest(self.features),
            "protected": rest(self.protected),
            "text": rest(self.text),
            "any_spelling": rest(self.any_spelling),
            "ignore": rest(self.ignore),
            "entity": None if self.entity in names else self.entity,
        }
        return self.model_copy(update=changed)

    def also_naming(self, names: Sequence[str]) -> Self:
        """Return the roles with more columns that a table must have, whatever their role."""
        return self.model_copy(update={"protected": (*self.protected, *dict.fromkeys(names))}) if names else self

    def roles(self) -> frozenset[str]:
        """Return the columns that have another role than that of a feature."""
        single = {name for name in (self.event_time, self.label_time, self.entity) if name is not None}
        return frozenset({*self.key, self.target, *self.ignore, *self.protected} | single)


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
    def _task_fits(self) -> Self:
        self.training.check(self.task)
        self.gate.check(self.task, self.metric)
        if self.task == "regression" and self.columns.target in self.columns.any_spelling:
            raise ValueError(
                f"columns.any_spelling: {self.columns.target!r} is the target, a number; remove it from any_spelling"
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
