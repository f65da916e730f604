"""The roles of the columns in a spec. Like the rest of a spec's content, without Prefect."""

from collections.abc import Collection, Sequence
from typing import Self

from pydantic import Field, model_validator

from everfit.blocks.policy import Policy
from everfit.blocks.written_numbers import WrittenNumber

ARRIVED = "_arrived"
"""A column of everfit's own: the time of ingestion of a row without an event time."""


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
    numbers: dict[str, WrittenNumber] = Field(
        default={},
        exclude_if=lambda numbers: not numbers,
        description="Columns of numbers that are written as text, such as `$1,234.50`, `45 %` or `1.234,5 kg`. The "
        "number is taken as it is written, so `45 %` is 45, wherever it comes from. The first batch decides it.",
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

    @model_validator(mode="after")
    def _numbers_are_numbers(self) -> Self:
        others = {*self.key, *self.ignore, *self.text, *self.any_spelling, self.event_time, self.label_time}
        if taken := sorted({*self.numbers} & others):
            raise ValueError(
                f"numbers: {taken[0]!r} is a key, a text, a time or ignored, so it holds no numbers to compute with; "
                "remove it from one of the two"
            )
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
                    *self.numbers,
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
            "numbers": {name: written for name, written in self.numbers.items() if name not in names},
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
