"""The largest client's share of predictions and labels, for the evidence area `service_health`."""

from collections.abc import Collection, Mapping

from everfit.blocks.clients import ClientsPolicy
from everfit.tasks.monitoring.live_predictions import LivePredictions
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.drawn_answers import draw_of, read_drawn
from everfit.tasks.predictions.key_draw import MOST
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.storage.tables import KEY
from everfit.tasks.triage.signals import ServiceHealthSignal

_LARGE = 0.5
"""From this share on, one client decides what a window looks like."""
_RISE = 0.25
"""A rise of the share between two windows that is reported."""


def labellers(mature: LabelledPredictions | None) -> dict[str, int]:
    """Return the number of mature labels by origin; that of the labelling queues is one."""
    if mature is None or labels.ORIGIN not in mature.rows:
        return {}
    origins = mature.rows[labels.ORIGIN].dropna().map(_origin)
    return {str(name): round(count / mature.draw.share) for name, count in origins.value_counts().items()}


def all_labellers(monitored: MonitoredModel) -> dict[str, int]:
    """Return what `labellers` does, of all labels, also of those that don't count because of their client's share."""
    spec, table, window = monitored.context.spec, monitored.context.workspace.table, monitored.windows.labelled
    log, known = table(spec.name, "predictions"), monitored.labels
    if not log.exists():
        return {}
    columns, version = [KEY, monitored.event_time], monitored.champion.version
    draw = draw_of(log, window, MOST)
    rows = read_drawn(log, window, monitored.event_time, columns, draw=draw, version=version).drop_duplicates(KEY)
    policy = spec.monitoring.clients.model_copy(update={"max_share": 1})
    origins = labels.known_at(known, monitored.until, rows[KEY], clients=policy)[labels.ORIGIN].map(_origin)
    return {str(name): round(count / draw.share) for name, count in origins.value_counts().items()}


def _origin(name: str) -> str:
    return labels.QUEUE_ORIGIN.rstrip(":") if name.startswith(labels.QUEUE_ORIGIN) else name


def with_clients(
    signal: ServiceHealthSignal,
    live: LivePredictions,
    labelled_by: Mapping[str, int],
    previous: Mapping[str, float],
    policy: ClientsPolicy,
    *,
    labels_left_out: int = 0,
) -> ServiceHealthSignal:
    """Add the share of the largest client among several to the signal, and report one that has become large.

    Args:
        signal: The signal without clients.
        live: The window of the prediction log.
        labelled_by: Number of mature labels by origin, also of those that don't count.
        previous: The figures of the previous window.
        policy: The largest share that counts.
        labels_left_out: Number of mature labels that don't count.
    """
    figures, sentences, alarms = dict(signal.figures), list[str](), list(signal.alarms)
    trusted = {labels.SOURCE, labels.FILE, labels.QUEUE_ORIGIN.rstrip(":")}
    for figure, counts, known, verb, noun in (
        ("client_share", live.clients, prediction_log.OWN_CLIENTS, "asked for", "predictions"),
        ("labeller_share", labelled_by, trusted, "sent", "mature labels"),
    ):
        largest = _largest(counts, known)
        if largest is None:
            continue
        name, share = largest
        figures[figure] = share
        sentence = f"the client {name!r} {verb} {share:.0%} of the {noun}"
        before = previous.get(figure)
        if share >= _LARGE and before is not None and share - before >= _RISE:
            alarms.append(f"{sentence}; the largest client of the window before had {before:.0%}")
        else:
            sentences.append(sentence)
    for figure, left_out, what in (
        ("left_out_rows", live.left_out, "predictions"),
        ("left_out_labels", labels_left_out, "mature labels"),
    ):
        if left_out:
            figures[figure] = float(left_out)
            sentences.append(
                f"{left_out:,} {what} of clients above the share of {policy.max_share:.0%} "
                "(monitoring.clients.max_share) don't count"
            )
    return signal.model_copy(update={"figures": figures, "clients": tuple(sentences), "alarms": tuple(alarms)})


def _largest(counts: Mapping[str, int], trusted: Collection[str]) -> tuple[str, float] | None:
    """Return the largest client and its share; None with a single client, or none over HTTP."""
    others = [(rows, name) for name, rows in counts.items() if name not in trusted]
    if not others or len(counts) < 2:
        return None
    rows, name = max(others)
    return name, rows / sum(counts.values())
