"""Sources that are joined to the rows of a model as of the event."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from everfit.blocks.policy import Duration, Policy
from everfit.blocks.sources import Source


def _as_mapping(value: Any) -> Any:
    """Return `on` as columns of the rows with those of the joined source; one name stands for both."""
    if isinstance(value, str):
        return {value: value}
    if isinstance(value, Sequence) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


class Join(Policy):
    """A source whose last row that was known at the event is joined to each row.

    Among the rows with the same values of `on`, the one with the latest `as_of` counts that is not after the event
    time. With `available_at`, rows that were not available at the event time don't count.
    """

    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="The name of the join in messages and in `everfit trace`. By default it is the names of `on`.",
    )
    source: Source = Field(
        description="The source of the rows to join. A secret in it must be `env:NAME` or `block:NAME`."
    )
    on: Annotated[dict[str, str], BeforeValidator(_as_mapping)] = Field(
        min_length=1,
        description="The columns that must be equal: a name, a list of names, or a map of the rows' column to the "
        "joined source's column if their names differ.",
    )
    as_of: str = Field(description="The column of the joined source with the time from which a row holds.")
    within: Duration | None = Field(
        default=None, description="The longest time from `as_of` to the event. An older row is not joined."
    )
    columns: tuple[str, ...] = Field(min_length=1, description="The columns of the joined source to take.")
    available_at: str | None = Field(
        default=None,
        description="The column of the joined source with the time at which a row could be read. A row without it is "
        "never joined. If the key is omitted, a row counts as available at `as_of`.",
    )
    refresh: Duration = Field(
        default=timedelta(minutes=5),
        gt=timedelta(0),
        description="How often the prediction service reads the joined source again.",
    )

    @property
    def label(self) -> str:
        """The name of the join."""
        return self.name or "-".join(self.on)

    @field_validator("within")
    @classmethod
    def _positive(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value <= timedelta(0):
            raise ValueError("no row is as new as that; give a longer time, or leave `within` out")
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if both := sorted({*self.columns} & {*self.on, *self.on.values()}):
            raise ValueError(f"columns: {both[0]!r} is in `on`, so the rows have it already; remove it from columns")
        if own := [name for name in (*self.columns, *self.on.values(), self.as_of) if name.startswith("_")]:
            raise ValueError(
                f"{own[0]!r}: names that begin with an underscore are reserved, and the column is read as "
                f"{own[0].lstrip('_')!r}; write that name"
            )
        for name in ("url", "token"):
            secret = getattr(self.source, name, None)
            if isinstance(secret, SecretStr) and not secret.get_secret_value().startswith(
                ("env:", "block:", "sqlite:")
            ):
                raise ValueError(f"source.{name}: a secret of a joined source must be env:NAME or block:NAME")
        return self

    def content(self) -> dict[str, Any]:
        """Return the join as plain data with the references to its secrets, for another process."""
        content = self.model_dump(mode="json")
        content["source"] |= self._secrets()
        return content

    def _secrets(self) -> dict[str, str]:
        secrets = {name: getattr(self.source, name, None) for name in ("url", "token")}
        return {name: secret.get_secret_value() for name, secret in secrets.items() if isinstance(secret, SecretStr)}


def lifted(content: Any) -> Any:
    """Return a spec's content with `source.joins` as `joins`; both at once are left for the error of an unknown key."""
    if not isinstance(content, Mapping):
        return content
    source = content.get("source")
    if not isinstance(source, Mapping) or "joins" not in source or content.get("joins"):
        return content
    rest = {name: value for name, value in source.items() if name != "joins"}
    return {**content, "source": rest, "joins": source["joins"] or ()}


def joined_columns(joins: Sequence[Join]) -> tuple[str, ...]:
    """Return the names of the columns that joins add."""
    return tuple(name for join in joins for name in join.columns)


def contradiction(joins: Sequence[Join], event_time: str | None, taken: Mapping[str, str]) -> str | None:
    """Return what is wrong with the joins of a model, or None.

    Args:
        joins: The joins.
        event_time: Column of the event time.
        taken: Roles of columns that the model's own source must have, by name.
    """
    if not joins:
        return None
    if event_time is None:
        return "joins: rows are joined as of the event, but columns.event_time is not set; set it, or remove the joins"
    labels, names = [join.label for join in joins], joined_columns(joins)
    if twice := _repeated(labels):
        return f"joins: two joins are called {twice!r}; give each its own `name`"
    if twice := _repeated(names):
        return f"joins: two joins give the column {twice!r}; rename it in one of the sources, or take it from one"
    if both := [name for name in names if name in taken]:
        return f"joins: {both[0]!r} is {taken[both[0]]} and must be in the model's own source; remove it from the join"
    late = {name for name, role in taken.items() if role in {"the target", "the label time"}}
    wrong = [name for join in joins for name in join.on if name in {*names, *late}]
    return f"joins: {wrong[0]!r} is not known in the rows before the join; join on another column" if wrong else None


def _repeated(names: Sequence[str]) -> str:
    return next((name for place, name in enumerate(names) if name in names[:place]), "")
