"""An evidence area: the record of one thing that monitoring measures in a window."""

from typing import ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.tasks.core.records import Record

Status = Literal["measured", "not_enough", "absent", "failed"]
"""`not_enough`: too few rows or labels; `absent`: not measured in this window; `failed`: the measurement broke."""


class Area(Record):
    """One evidence area.

    A subclass declares the area once: rules, artifact, JSON, MLflow, command line and docs read these.

    Attributes:
        name: The field of `Signals` that holds the area.
        label: The area's name for people.
        measures: One line that says what is measured, for the docs.
        essential: Whether a window can only be healthy if this area was measured.
        required: The fields that a measured area must have.
    """

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    measures: ClassVar[str] = ""
    essential: ClassVar[bool] = False
    required: ClassVar[tuple[str, ...]] = ()

    status: Status = "absent"
    reason: str = Field(default="", description="Details, above all why the area could not be measured.")

    @property
    def measured(self) -> bool:
        """Whether the numbers mean something."""
        return self.status == "measured"

    @property
    def title(self) -> str:
        """The name under which people see this area; several areas of one kind override it."""
        return self.label

    @property
    def details(self) -> str:
        """The measurement in a few words; without an override, the reason."""
        return self.reason

    @property
    def concerns(self) -> tuple[str, ...]:
        """The concerns worth watching, one sentence each; empty if all is well or nothing was measured."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences that follow the reasons of any decision and change none."""
        return ()

    @property
    def text(self) -> str:
        """The details if the area was measured, otherwise why it was not."""
        return (self.details or self.reason) if self.measured else self.reason

    @property
    def numbers(self) -> dict[str, FiniteFloat]:
        """The numbers of a measured area by field, for MLflow and for signals of the user."""
        if not self.measured:
            return {}
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: float(value) for name, value in fields.items() if isinstance(value, bool | int | float)}

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        missing = [name for name in self.required if getattr(self, name) is None]
        if self.measured and missing:
            raise ValueError(
                f"{type(self).__name__} was measured but has no {missing[0]!r}; give it, or another status"
            )
        return self
