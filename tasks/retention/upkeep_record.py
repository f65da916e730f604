"""The result of an upkeep, and its record in the ledger."""

from collections.abc import Iterator, Mapping

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Ledger


class UpkeepResult(Record):
    """The changes of an upkeep or, after a dry run, the planned ones; counts by table."""

    model: str
    at: AwareDatetime
    rows: dict[str, int] = Field(description="Deleted old rows.")
    days: dict[str, int] = Field(description="Compacted days.")
    files: dict[str, int] = Field(description="Deleted files that no kept version needs.")
    versions: tuple[int, ...] = Field(default=(), description="Model versions deleted from the registry.")
    turn_files: int = Field(default=0, description="Deleted files of ended turns, with staged rows or models.")
    looks: int = Field(default=0, description="Deleted or thinned MLflow runs of earlier looks that found nothing.")
    broken_turns: tuple[str, ...] = Field(
        default=(), description="All turns that can no longer be reproduced, because their training data was deleted."
    )

    def summary(self) -> tuple[str, ...]:
        """Return a sentence for each change."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        yield from _counts(self.rows, "old rows of {} deleted")
        yield from _counts(self.days, "days of {} compacted")
        yield from _counts(self.files, "expired files of {} deleted")
        if self.versions:
            yield f"model versions {', '.join(map(str, self.versions))} deleted from the registry"
        if self.turn_files:
            yield f"{self.turn_files:,} files of ended turns deleted"
        if self.looks:
            yield f"{self.looks:,} MLflow runs of earlier looks that found nothing deleted or thinned"


def _counts(counts: Mapping[str, int], template: str) -> Iterator[str]:
    for name, count in counts.items():
        if count:
            yield f"{count:,} {template.format(name)}"


def changed_anything(done: UpkeepResult) -> bool:
    """Return whether an upkeep changed anything."""
    return bool(done.summary())


def record_upkeep(ledger: Ledger, done: UpkeepResult) -> None:
    """Record an upkeep in the ledger, with the turns that it made impossible to reproduce."""
    earlier = {
        turn_id
        for kind in ("upkeep", "forget")
        for decision in ledger.decisions.of(done.model, kind=kind)
        for turn_id in decision.record.get("broken_turns", ())
    }
    ended = [turn_id for turn_id in done.broken_turns if turn_id not in earlier]
    if not changed_anything(done) and not ended:
        return
    reasons = [*done.summary(), *(f"turn {turn_id} can no longer be reproduced" for turn_id in ended)]
    ledger.decisions.record(
        f"{done.model}/upkeep/{done.digest()[:16]}",
        model=done.model,
        kind="upkeep",
        verdict="done",
        until=done.at,
        reasons=reasons,
        record=done.model_dump(mode="json") | {"ended": ended},
    )


def ended_by(ledger: Ledger, model: str, turn_id: str) -> Decision | None:
    """Return the upkeep or key deletion that made a turn impossible to reproduce; None if no such decision is known."""
    deletions = [decision for kind in ("upkeep", "forget") for decision in ledger.decisions.of(model, kind=kind)]
    return next((decision for decision in deletions if turn_id in decision.record.get("ended", ())), None)


def upkeep_page(done: UpkeepResult) -> str:
    """Return the result as Markdown, for the artifact in the Prefect UI."""
    lines = [
        f"# {done.model}: upkeep of {done.at:%Y-%m-%d %H:%M} UTC",
        "",
        *(f"- {sentence}" for sentence in done.summary()),
    ]
    if done.broken_turns:
        lines += [
            "",
            "Turns that can no longer be reproduced: " + ", ".join(f"`{turn_id}`" for turn_id in done.broken_turns),
        ]
    return "\n".join(lines)
