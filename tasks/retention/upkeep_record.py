"""What an upkeep has done, as it is kept and told."""

from collections.abc import Iterator, Mapping

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Ledger


class UpkeepDone(Record):
    """The actions, or would be; numbers by table."""

    model: str
    at: AwareDatetime
    rows: dict[str, int] = Field(description="Rows removed for their age.")
    days: dict[str, int] = Field(description="Days whose small files became one.")
    files: dict[str, int] = Field(description="Files removed that no state that is kept needs.")
    versions: tuple[int, ...] = Field(default=(), description="Model versions taken from the registry.")
    turn_files: int = Field(default=0, description="Files of turns that are over, with staged rows or models.")
    broken_turns: tuple[str, ...] = Field(
        default=(), description="All turns that can't be reproduced any more, as the data that they trained on is gone."
    )

    def told(self) -> tuple[str, ...]:
        """In words, each thing that was done."""
        return tuple(self._told())

    def _told(self) -> Iterator[str]:
        yield from _each(self.rows, "rows of {} removed for their age")
        yield from _each(self.days, "days of {} put into one file each")
        yield from _each(self.files, "files of {} removed that nothing needs any more")
        if self.versions:
            yield f"model versions {', '.join(map(str, self.versions))} taken from the registry"
        if self.turn_files:
            yield f"{self.turn_files:,} files of turns that are over removed"


def _each(counts: Mapping[str, int], words: str) -> Iterator[str]:
    for name, count in counts.items():
        if count:
            yield f"{count:,} {words.format(name)}"


def worth_recording(done: UpkeepDone) -> bool:
    """Whether anything was done at all."""
    return bool(done.told())


def record_upkeep(ledger: Ledger, done: UpkeepDone) -> None:
    """Keep what was done in the ledger, with the turns whose reproduction it has ended."""
    earlier = {
        turn_id
        for kind in ("upkeep", "forget")
        for decision in ledger.decisions.of(done.model, kind=kind)
        for turn_id in decision.record.get("broken_turns", ())
    }
    ended = [turn_id for turn_id in done.broken_turns if turn_id not in earlier]
    if not worth_recording(done) and not ended:
        return
    reasons = [*done.told(), *(f"turn {turn_id} can't be reproduced any more" for turn_id in ended)]
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
    """The upkeep, or the request to forget, since which a turn can't be reproduced any more; None if none is known."""
    tidied = [decision for kind in ("upkeep", "forget") for decision in ledger.decisions.of(model, kind=kind)]
    return next((decision for decision in tidied if turn_id in decision.record.get("ended", ())), None)


def upkeep_page(done: UpkeepDone) -> str:
    """The actions, for the artifact in the Prefect UI."""
    lines = [f"# {done.model}: upkeep of {done.at:%Y-%m-%d %H:%M} UTC", "", *(f"- {told}" for told in done.told())]
    if done.broken_turns:
        lines += [
            "",
            "Turns that can't be reproduced any more: " + ", ".join(f"`{each}`" for each in done.broken_turns),
        ]
    return "\n".join(lines)
