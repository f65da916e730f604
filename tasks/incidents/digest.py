"""The weekly digest: what became of every model, those that need a person first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.tasks.core.outside_text import message_text
from everfit.tasks.core.records import Record
from everfit.tasks.incidents.message import Message
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import RETIREMENT, known_models, name_changes
from everfit.tasks.ledger.records import Decision, Incident

_TRIAGE = "triage"


class ModelWeek(Record):
    """The fate of one model in a span."""

    model: str
    version: int | None = Field(default=None, description="The champion at the end.")
    released_at: AwareDatetime | None = None
    releases: int = Field(default=0, description="Champion changes in the span.")
    turns: dict[str, int] = Field(default_factory=dict, description="Turns in the span by how they ended.")
    looks: dict[str, int] = Field(default_factory=dict, description="Looks in the span by their verdict.")
    metric: str = ""
    quality: tuple[float, float] | None = Field(default=None, description="The first and the newest in the span.")
    open: tuple[str, ...] = Field(default=(), description="The open incidents, in words.")
    closed: int = Field(default=0, description="Incidents that were over in the span.")


def read_weeks(ledger: Ledger, models: Sequence[str] | None, since: datetime, until: datetime) -> list[ModelWeek]:
    """Return what became of the models in a span.

    Args:
        ledger: The ledger.
        models: The names of the models; by default all that are not retired.
        since: The beginning of the span.
        until: Its end.
    """
    names = sorted(name for name in known_models(ledger) if not _is_retired(ledger, name)) if models is None else models
    return [_week(ledger, name, since, until) for name in names]


def digest_message(weeks: Iterable[ModelWeek], since: datetime, until: datetime) -> Message:
    """Return the digest as a message. Pure.

    Args:
        weeks: The fate of each model.
        since: The beginning of the span.
        until: Its end.
    """
    ordered = sorted(weeks, key=lambda week: (not week.open, week.model))
    worried = sum(bool(week.open) for week in ordered)
    subject = (
        f"everfit: {_models(len(ordered))}, {worried} with an open incident"
        if worried
        else (f"everfit: {_models(len(ordered))}, no open incident")
    )
    lines = [f"{since:%Y-%m-%d} to {until:%Y-%m-%d} UTC", ""]
    for week in ordered:
        lines += _lines(week)
    return Message(subject=subject, body="\n".join(lines))


def _lines(week: ModelWeek) -> list[str]:
    champion = "no champion yet" if week.version is None else f"version {week.version}"
    if week.released_at is not None:
        champion += f" since {week.released_at:%Y-%m-%d}"
    quality = ""
    if week.quality is not None:
        first, newest = week.quality
        quality = f"; {week.metric} {newest:.4g}" + (f", was {first:.4g}" if f"{first:.4g}" != f"{newest:.4g}" else "")
    facts = [_counted("turn", week.turns), _counted("look", week.looks)]
    facts += [f"{week.releases} releases" if week.releases != 1 else "one release"] if week.releases else []
    facts += [f"{week.closed} incidents over" if week.closed != 1 else "one incident over"] if week.closed else []
    return [
        f"{week.model}: {champion}{quality}",
        *(f"  open: {message_text(text)}" for text in week.open),
        f"  {'; '.join(facts)}",
    ]


def _counted(noun: str, counts: dict[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return f"no {noun}"
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return f"{total} {noun}{'' if total == 1 else 's'} ({parts})"


def _week(ledger: Ledger, model: str, since: datetime, until: datetime) -> ModelWeek:
    looks = [
        entry
        for entry in ledger.decisions.of(model, kind=_TRIAGE)
        if entry.until is not None and since < entry.until <= until
    ]
    releases = ledger.releases.of(model)
    champion = ledger.releases.current(model)
    known = ledger.incidents.of(model)
    metric, values = _quality(looks)
    return ModelWeek(
        model=model,
        version=None if champion is None else champion.version,
        released_at=None if champion is None else champion.at,
        releases=sum(since < entry.at <= until and entry.state != "undone" for entry in releases),
        turns=Counter(turn.state for turn in ledger.turns.of(model) if since < turn.started_at <= until),
        looks=Counter(entry.verdict for entry in looks),
        metric=metric,
        quality=(values[0], values[-1]) if values else None,
        open=tuple(_in_words(entry) for entry in known if entry.state == "open"),
        closed=sum(entry.closed_at is not None and since < entry.closed_at <= until for entry in known),
    )


def _quality(looks: Iterable[Decision]) -> tuple[str, list[float]]:
    found = [(entry.record.get("signals") or {}).get("quality") or {} for entry in looks]
    measured = [signal for signal in found if isinstance(signal.get("value"), int | float)]
    return (str(measured[-1].get("metric") or "") if measured else ""), [float(signal["value"]) for signal in measured]


def _in_words(incident: Incident) -> str:
    what = incident.alert.get("what", incident.subject)
    text = f"{incident.severity}: {what}, since {incident.opened_at:%Y-%m-%d %H:%M}"
    if incident.seen_until is not None:
        text += f"; {incident.seen_by} looks after it until {incident.seen_until:%Y-%m-%d %H:%M}"
    return text


def _is_retired(ledger: Ledger, model: str) -> bool:
    changes = name_changes(ledger, model)
    return bool(changes) and changes[-1].kind == RETIREMENT


def _models(number: int) -> str:
    return "one model" if number == 1 else f"{number:,} models"
