"""The tables of the documents that follow from declarations in the code. `make docs` writes them between two marks."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import everfit.tasks
from everfit.tasks.core.event_names import EVENTS
from everfit.tasks.monitoring.evidence import AREAS
from everfit.tasks.triage import VERDICTS
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.diagnosis_signal import DiagnosisSignal
from everfit.tasks.triage.user_signals import OwnSignal, UserMetricSignal

DOCUMENTS = Path(__file__).parents[2] / "docs"


def areas() -> tuple[type[Area], ...]:
    """Return all evidence areas: those that every window has, then those that a spec adds."""
    return (*(area.record for area in AREAS), DiagnosisSignal, UserMetricSignal, OwnSignal)


def area_table() -> Iterator[str]:
    """Yield the table of the evidence areas, in the order in which they are measured."""
    yield "| area | what is measured | a healthy window needs it |"
    yield "| --- | --- | --- |"
    for area in areas():
        yield f"| {area.label} | {area.measures} | {'yes' if area.essential else 'no'} |"


def verdict_table() -> Iterator[str]:
    """Yield the table of the verdicts, in the order of their declarations."""
    yield "| verdict | state | meaning | who is notified |"
    yield "| --- | --- | --- | --- |"
    for name, verdict in VERDICTS.items():
        yield f"| `{name}` | `{verdict.state}` | {_sentence(verdict.meaning)} | {verdict.notifies or 'nobody'} |"


def event_table() -> Iterator[str]:
    """Yield the table of the events, in the order of their declarations."""
    yield "| event | when | payload |"
    yield "| --- | --- | --- |"
    for name, event in EVENTS.items():
        yield f"| `{name}` | {event.when} | {event.payload} |"


STEPS = (
    *("open_context", "open_turn", "ingest", "transform_rows", "validate", "commit", "split", "take_snapshot"),
    *("already_trained", "training_data", "longer_holdout", "try_candidates", "fit", "evaluate", "preview_gate"),
    *("refit", "convert", "register", "check_serving", "apply_gate", "track", "release_challenger", "roll_back"),
    *("reconcile", "request_turn", "score", "read_predictions", "collect_labels", "find_champion", "read_window"),
    *("measure_drift", "measure_quality", "measure_signals", "open_window_run", "decide_window", "notify"),
)
"""The public steps, in the order of a turn, then of scoring and monitoring."""


def step_table() -> Iterator[str]:
    """Yield the table of the public steps: the first line of each docstring."""
    yield "| step | what it does |"
    yield "| --- | --- |"
    for name in STEPS:
        step = getattr(everfit.tasks, name)
        summary = (inspect.getdoc(getattr(step, "fn", step)) or "").partition("\n")[0]
        yield f"| `{name}` | {summary} |"


TABLES: dict[tuple[str, str], Callable[[], Iterator[str]]] = {
    ("flows.md", "evidence areas"): area_table,
    ("flows.md", "verdicts"): verdict_table,
    ("own-flows.md", "steps"): step_table,
    ("server.md", "events"): event_table,
}
"""By document and the name in its mark."""


def with_tables(document: str, content: str) -> str:
    """Return the content of a document with its declared tables as the code has them now.

    Raises:
        ValueError: The document lacks the marks of a table.
    """
    for (name, table), lines in TABLES.items():
        if name == document:
            begin, end = f"<!-- {table}: written by `make docs` -->\n", "<!-- end -->"
            written = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
            if not written.search(content):
                raise ValueError(f"{document} has no place for the table of {table!r}; add {begin!r} and {end!r}")
            text = begin + "\n".join(("", *lines(), "", end))
            content = written.sub(lambda _, text=text: text, content)
    return content


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def write() -> None:
    """Write the tables into their documents."""
    for name in sorted({document for document, _ in TABLES}):
        path = DOCUMENTS / name
        path.write_text(with_tables(name, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
