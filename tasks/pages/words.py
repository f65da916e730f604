"""The state of models as lines of text. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from everfit.tasks.pages.model_status import ModelStatus, moment
from everfit.tasks.pages.states import ORDER, STATES

_WIDTH = 100


def worst_first(every: Iterable[ModelStatus]) -> list[ModelStatus]:
    """Return models with what is wrong first; the same states by name."""
    return sorted(every, key=lambda found: (ORDER[found.state], not found.asks, found.model))


def status_lines(found: ModelStatus) -> list[str]:
    """Return the state of one model, a line for each thing that people ask.

    Args:
        found: The state.
    """
    rows = [("state", ": ".join(filter(None, (found.declaration.label, found.reason))))]
    if found.champion is not None and found.champion_since is not None:
        by = f", by {found.champion_by}" if found.champion_by else ""
        rows.append(("champion", f"version {found.champion} since {moment(found.champion_since)}{by}"))
    rows.append(("live quality", quality_words(found)))
    look, turn = found.last_look, found.last_turn
    if look is not None:
        rows += [row for row in (("early quality", look.early), ("label delay", look.label_delay)) if row[1]]
    rows.append(("last look", "none yet" if look is None else f"{moment(look.until)}: {look.verdict}, {look.headline}"))
    last = "none yet" if turn is None else f"{moment(turn.window.until)}: {found.turn_summary}"
    rows.append(("last turn", last if turn is None else f"{last} (everfit explain {turn.id})"))
    if found.risk is not None:
        rows.append(("risk", f"{found.risk.now or 'not known'}: {found.risk.summary}"))
    rows.append(("limits", "the spec can't be read here" if found.limits is None else found.limits.summary))
    rows.append(("waits", "nothing waits for a person" if not found.asks else f"{len(found.asks)} for a person"))
    width = max(len(name) for name, _ in rows)
    lines = [found.model, *(f"  {name:<{width}}  {text}" for name, text in rows)]
    for ask in found.asks:
        seen = f"; {ask.seen_by} looks after it" if ask.seen_by else ""
        lines.append(f"  - {ask.what}, since {moment(ask.since)}{seen}")
        lines += [f"    {text}" for text in (ask.reason, ask.page, ask.command) if text]
    return [*lines, *([f"  next          {found.next}"] if found.next else [])]


def overview_lines(every: Sequence[ModelStatus]) -> list[str]:
    """Return one line for each model.

    Args:
        every: The models, in the order of the lines.
    """
    if not every:
        return ["the ledger has no model yet; `everfit train MODEL` makes the first champion of one"]
    names = max(len(found.model) for found in every)
    states = max(len(STATES[found.state].label) for found in every)
    lines = []
    for found in every:
        parts = [f"{found.model:<{names}}", f"{found.declaration.label:<{states}}", shortened(_line(found), _WIDTH)]
        lines.append("  ".join(parts).rstrip())
    return lines


def quality_words(found: ModelStatus, figures: str | None = None) -> str:
    """Return live quality against the expected one, or why it is not known.

    Args:
        found: The state.
        figures: The words for the figures; by default all of them.
    """
    quality = found.quality
    if quality is None:
        return f"not known: {found.quality_unknown}" if found.quality_unknown else "not known yet"
    earlier = "" if found.last_look is None or found.last_look.until == quality.until else ", an earlier look"
    unknown = f"; not known now: {found.quality_unknown}" if found.quality_unknown else ""
    said = quality.summary if figures is None else figures
    return f"{said} (window to {moment(quality.until)}{earlier}){unknown}"


def shortened(text: str, width: int) -> str:
    """Return the first line of a text, with an ellipsis where it is cut."""
    first = " ".join(text.split())
    return first if len(first) <= width else f"{first[: width - 1].rstrip()}…"


def ago(span: timedelta) -> str:
    """Return how long ago something was.

    Example:
        >>> ago(timedelta(minutes=5)), ago(timedelta(hours=30)), ago(timedelta(days=400))
        ('5 minutes ago', '30 hours ago', '400 days ago')
    """
    seconds = max(int(span.total_seconds()), 0)
    for unit, size, least in (("days", 86_400, 2), ("hours", 3_600, 2), ("minutes", 60, 2)):
        if seconds >= least * size:
            return f"{seconds // size} {unit} ago"
    return "just now" if seconds < 60 else "a minute ago"


def _line(found: ModelStatus) -> str:
    look, quality = found.last_look, found.quality
    champion = "" if found.champion is None else f"version {found.champion}"
    figures = "" if quality is None else quality.summary
    when = "" if look is None else f"looked at {_age(found.until, look.until)}"
    waits = f"{len(found.asks)} for a person" if found.asks else ""
    if found.state == "fit":
        return "; ".join(filter(None, (figures, waits, when, champion)))
    why = found.reason or found.next.replace("`", "")
    return "; ".join(filter(None, (waits, why, figures, when, champion)))


def _age(now: datetime, then: datetime) -> str:
    return ago(now - then)
