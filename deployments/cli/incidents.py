"""The commands of what people are notified of: `incidents`, `seen`, `digest`."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.decisions import without_prefect
from everfit.deployments.cli.options import DECIDE, AsJson, By, Model, Until, parse_time
from everfit.deployments.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from everfit.tasks.ledger import Incident

app = typer.Typer()

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@app.command(rich_help_panel=DECIDE)
def incidents(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A model. By default all models.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Show those that are over, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what people are notified of, and who looks after it."""
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)
    environment.prepare(settings)
    from everfit.tasks.ledger.model_names import known_models

    names = sorted(known_models(ledger)) if model is None else [_known(model, known_models(ledger))]
    found = [
        entry for name in names for entry in (ledger.incidents.of(name) if closed else ledger.incidents.open(name))
    ]
    if as_json:
        print_json({"incidents": [entry.model_dump(mode="json") for entry in found]})
        return
    if not found:
        over = "" if closed else "; --closed shows those that are over"
        print_lines(f"no incident is {'known' if closed else 'open'}{over}")
    for entry in found:
        print_lines(*_lines(entry))


@app.command(rich_help_panel=DECIDE)
def seen(
    model: Model,
    by: By,
    until: Annotated[
        str, typer.Option(help="When to be reminded again: a time, a day of the week, or a duration such as 2d.")
    ] = "1d",
    as_json: AsJson = False,
) -> None:
    """Record that you look after a model's open incidents.

    Until the reminder, a message is sent only if an incident gets worse or is over.
    """
    now = datetime.now(UTC)
    moment = parse_until(until, now)
    context, _ = without_prefect(model)
    from everfit.tasks.incidents.recording import mark_seen
    from everfit.tasks.release.approval import check_signature

    name, _ = check_signature(by, "seen")
    if moment <= now:
        raise EverfitError(f"--until {until!r} is over; give a later time")
    found = mark_seen(context, moment, name)
    if as_json:
        print_json({"incidents": [entry.model_dump(mode="json") for entry in found]})
        return
    print_lines(
        *(line for entry in found for line in _lines(entry)),
        *(() if found else [f"{context.spec.name} has no open incident"]),
    )


@app.command(rich_help_panel=DECIDE)
def digest(until: Until = None, as_json: AsJson = False) -> None:
    """Show what became of every model in a week.

    On a server the deployment `digest` sends the same, each Monday.
    """
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger, end = Ledger.open_existing(settings), parse_time(until, "--until")
    environment.prepare(settings)
    from everfit.tasks.incidents.digest import digest_message, read_weeks

    since = end - timedelta(days=7)
    weeks = read_weeks(ledger, None, since, end)
    if as_json:
        print_json({"models": [week.model_dump(mode="json") for week in weeks]})
        return
    message = digest_message(weeks, since, end)
    print_lines(message.subject, *message.body.splitlines())


def parse_until(text: str, now: datetime) -> datetime:
    """Return the moment of `--until`: a weekday means the beginning of the next such day, in UTC.

    Args:
        text: A time, a day of the week, or a duration.
        now: The present.

    Raises:
        EverfitError: The text is none of these.
    """
    from everfit.blocks.policy import parse_duration

    word = text.strip().lower()
    days = [number for number, day in enumerate(_DAYS) if len(word) > 1 and day.startswith(word)]
    if days:
        ahead = (days[0] - now.weekday() - 1) % 7 + 1
        return (now + timedelta(days=ahead)).replace(hour=0, minute=0, second=0, microsecond=0)
    if re.fullmatch(r"\d+(\.\d+)?[wdhms]", word):
        return now + parse_duration(word)
    return parse_time(text, "--until")


def _known(model: str, names: set[str]) -> str:
    if model not in names:
        raise EverfitError(f"the ledger has no model {model!r}; it has {', '.join(sorted(names)) or 'none'}")
    return model


def _lines(incident: "Incident") -> list[str]:
    alert: dict[str, Any] = incident.alert
    end = "" if incident.closed_at is None else f", over since {incident.closed_at:%Y-%m-%d %H:%M}"
    since = f"since {incident.opened_at:%Y-%m-%d %H:%M} UTC"
    lines = [f"{incident.model}: {incident.severity}: {alert['what']}, {since}{end} (looks: {incident.looks})"]
    lines += [f"  {reason}" for reason in alert["why"][:2]]
    lines += [f"  to do: {alert['advice']}"] if alert["advice"] and incident.state == "open" else []
    if incident.seen_until is not None:
        lines += [f"  {incident.seen_by} looks after it until {incident.seen_until:%a %Y-%m-%d %H:%M} UTC"]
    failed = [sent for sent in incident.messages if sent.error]
    if failed and incident.due:
        lines += [f"  the message did not reach {failed[-1].to}: {failed[-1].error}"]
    return lines
