"""The frozen records that steps hand each other, and that the ledger keeps."""

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from everfit.blocks.errors import LedgerError


class Record(BaseModel):
    """A frozen record: equal inputs give equal JSON, and so the same digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def recall(cls, kept: Any) -> Self:
        """The record that was kept, perhaps by an earlier everfit: fields that are gone since are passed over.

        Args:
            kept: Plain data, as the ledger has it.

        Raises:
            LedgerError: A field is missing or has another form, so nothing can be decided by the record.
        """
        try:
            return cls.model_validate(kept, extra="ignore")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, (cls.__name__, *first["loc"])))
            raise LedgerError(
                f"what was kept as {place} can't be read: {first['msg']}, and it is {first['input']!r:.100}; "
                "was it written by another version of everfit?"
            ) from error

    def canonical_json(self) -> str:
        """The record as JSON with sorted keys and no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=True)

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


class Window(Record):
    """A half-open span of event time `[since, until)`; without `since` all that came before `until`."""

    since: AwareDatetime | None = None
    until: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.since >= self.until:
            raise ValueError(f"the window [{self.since}, {self.until}) is empty; since must be before until")
        return self

    def __str__(self) -> str:
        since = "the beginning" if self.since is None else f"{self.since:%Y-%m-%d %H:%M}"
        return f"{since} to {self.until:%Y-%m-%d %H:%M}"


TriggerKind = Annotated[
    Literal["manual", "schedule", "event", "drift", "quality", "new_data", "code", "user_metric", "signal", "waiting"],
    BeforeValidator(lambda kind: "user_metric" if kind == "satisfaction" else kind),  # its name in version 0.1
]


class Trigger(Record):
    """Why a turn is run. Two triggers that are equal are one trigger, and give one turn per model and `until`."""

    kind: TriggerKind = Field(default="manual", description="The kind of cause; a person leaves this as it is.")
    reason: str = Field(default="", description="The reason in words, for readers of the history.")
    id: str = Field(default="", description="The id of the event or triage decision behind it, where there is one.")
    by: str = Field(
        default="",
        exclude_if=lambda name: not name,
        description="The name of the person who starts the turn. It doesn't tell turns apart.",
    )
    replace_broken_champion: bool = Field(
        default=False,
        exclude_if=lambda wanted: not wanted,
        description="Whether a challenger may replace a champion that can't be loaded, without a comparison.",
    )

    def turn_id(self, model: str, until: datetime) -> str:
        """Return the id of the turn that this trigger gives; every caller gets the same."""
        identity = [model, until.isoformat(), self.kind, self.reason, self.id]
        if self.replace_broken_champion:
            identity.append("replace_broken_champion")
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        return f"{model}-{until:%Y%m%dT%H%M%S}-{digest[:8]}"


class Snapshot(Record):
    """Names training data exactly: a version of the dataset, a window and a digest of the content."""

    uri: str
    version: int = Field(description="Delta version of the dataset.")
    window: Window
    rows: int
    content_digest: str = Field(description="SHA-256 over the rows' contents, whatever their order.")


class ModelVersion(Record):
    """A version in the model registry and what it was trained on."""

    model: str
    version: int
    run_id: str
    trained_until: AwareDatetime = Field(description="It has seen no row whose event time is at or after this.")
    snapshot_digest: str = ""
