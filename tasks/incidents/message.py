"""The text of a message about an incident. Pure."""

from everfit.tasks.core.outside_text import message_text
from everfit.tasks.core.records import Record
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.course import CHANGED, OPENED, OVER, STILL, WORSE
from everfit.tasks.ledger.records import Incident

_BARS = "▁▂▃▄▅▆▇█"
_FIRST = {OPENED: "", WORSE: "worse, ", CHANGED: "changed, ", STILL: "still open, ", OVER: "over, "}
_REASONS = 2


class Message(Record):
    """A message: its first line, its text, and a picture."""

    subject: str
    body: str
    picture: str = ""


def message_of(incident: Incident, owner: str = "", page: str = "") -> Message:
    """Return the message that is due.

    Args:
        incident: The incident.
        owner: The person or team that the model belongs to.
        page: The address of the model's page; empty if nobody serves it.
    """
    alert = Alert.recall(incident.alert)
    model = incident.model
    subject = f"everfit: {model}: {_FIRST.get(incident.due, '')}{incident.severity}: {message_text(alert.what)}"
    since = f"{incident.opened_at:%Y-%m-%d %H:%M} UTC"
    if incident.state == "closed" and incident.closed_at is not None:
        over = f"Since: {since}; over at {incident.closed_at:%Y-%m-%d %H:%M} UTC"
        lines = [
            f"What: {message_text(alert.what)}",
            *(
                [over, f"Outcome: {message_text(alert.outcome)}"]
                if alert.outcome
                else [f"{over} after {_looks(incident.looks)}"]
            ),
        ]
    else:
        lines = [
            f"What: {message_text(alert.what)}",
            f"Since: {since}, {_looks(incident.looks)}",
            f"How bad: {'; '.join(filter(None, (incident.severity, message_text(alert.how_bad))))}",
            *(f"Why: {message_text(reason)}" for reason in alert.why[:_REASONS]),
        ]
        left = len(alert.why) - _REASONS
        lines += [f"({'one more reason' if left == 1 else f'{left} more reasons'} on the page)"] if left > 0 else []
        lines += [f"Chart: {sparkline(alert.chart)} {alert.chart_of}"] if alert.chart else []
        lines += [f"Picture: {alert.picture}"] if alert.picture else []
        lines += [f"To do: {alert.advice}"] if alert.advice else []
    lines += [f"Page: {alert.page}"] if alert.page else []
    lines += [f"Model: {page}"] if page else []
    lines += [f"Command: {alert.command}"] if alert.command and not alert.outcome else []
    lines += [f"Owner: {message_text(owner)}"] if owner else []
    if incident.state == "open":
        lines += [f"If you look after it: everfit seen {model} --by NAME --until Friday"]
    return Message(subject=subject, body="\n".join(lines))


def sparkline(values: tuple[float, ...]) -> str:
    """Return numbers as a row of bars, which every service can show; the lowest is the smallest.

    Args:
        values: The numbers, oldest first.

    Example:
        >>> sparkline((0.75, 0.74, 0.61))
        '█▇▁'
    """
    low, high = min(values), max(values)
    if high == low:
        return _BARS[3] * len(values)
    return "".join(_BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] for value in values)


def _looks(number: int) -> str:
    return "one look" if number == 1 else f"{number:,} looks"
