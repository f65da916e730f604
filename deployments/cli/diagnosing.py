"""The command `diagnose`: why and where quality was lost."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import LOOP, AsJson, Model, parse_time
from everfit.deployments.cli.output import print_json, print_lines, reporting_wait

if TYPE_CHECKING:
    import pandas as pd

    from everfit.blocks.columns import ColumnRoles
    from everfit.tasks.core.loss_diagnosis import Diagnosis
    from everfit.tasks.core.records import Window
    from everfit.tasks.diagnosis.diagnosis import Diagnosed
    from everfit.tasks.turns.context import Context

app = typer.Typer()


@app.command(rich_help_panel=LOOP)
def diagnose(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="SINCE..UNTIL",
            help="The window of event times, such as 2024-05-01..2024-06-01. By default it is that of the last look.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Use only what was known at this time. By default it is the last look, or now if a window is given."
        ),
    ] = None,
    page: Annotated[Path | None, typer.Option("--page", help="Write the diagnosis to this HTML file too.")] = None,
    suspects: Annotated[
        Path | None,
        typer.Option("--suspects", help="Write the rows whose labels should be checked to this CSV file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find out why and where a model has lost quality.

    Labelled rows of the window are compared with those of the champion's hold-out. Labels that should be checked, and
    rows never seen, are noted for the labelling queue.
    """
    span = None if window is None else parse_window(window)
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.diagnosis.page import diagnosis_page
    from everfit.tasks.turns.context import Context

    context = Context(load_spec(model), settings)
    with reporting_wait("comparing the labelled rows"):
        measured, version, diagnosed, asked = _diagnose(
            context, span, None if until is None else parse_time(until, "--until")
        )
    name, found, doubted = context.spec.name, diagnosed.diagnosis, diagnosed.suspects
    notes = [f"`everfit label-queue {model}` asks for {asked}"] if asked else []
    if page is not None:
        _write(page, "--page", diagnosis_page(name, str(measured), found))
        notes.append(f"Wrote {page}")
    if suspects is not None:
        _write(suspects, "--suspects", doubted_labels(doubted, context.spec.columns).to_csv(index=False))
        then = (
            f"correct the labels, then run everfit labels {model} {suspects}"
            if len(doubted)
            else "no label is in doubt"
        )
        notes.append(f"Wrote {len(doubted):,} rows to {suspects}; {then}")
    if as_json:
        facts = {"model": name, "window": measured.model_dump(mode="json"), "champion": version}
        files = {"page": None if page is None else str(page), "suspects": None if suspects is None else str(suspects)}
        texts = {"summary": found.summary, "advice": found.advice, "asked_for_labels": asked or None, **files}
        print_json({**facts, **texts, **found.model_dump(mode="json")})
        return
    print_lines(*_lines(name, measured, version, found), *notes)


def parse_window(text: str) -> tuple[datetime, datetime]:
    """Return both ends of a window from the command line.

    Raises:
        EverfitError: The text is no window.
    """
    since, dots, until = text.partition("..")
    if not dots or not since or not until:
        raise EverfitError(f"--window {text!r} is no window; give both ends, such as 2024-05-01..2024-06-01")
    ends = parse_time(since, "--window"), parse_time(until, "--window")
    if ends[0] >= ends[1]:
        raise EverfitError(f"--window {text!r} is empty; the first time must be before the second")
    return ends


def doubted_labels(rows: "pd.DataFrame", columns: "ColumnRoles") -> "pd.DataFrame":
    """Return rows with doubted labels as a file of labels: the key, the present label, then what the model read.

    Args:
        rows: Rows of the log with their labels.
        columns: The roles of the spec's columns.
    """
    from everfit.tasks.predictions.labels import LABEL

    own = [name for name in columns.key if name in rows]
    others = [name for name in rows if name not in own and not str(name).startswith("_")]
    return rows[[*own, LABEL, *others]].rename(columns={LABEL: columns.target})


def _write(path: Path, option: str, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise EverfitError(f"{option} {str(path)!r} can't be written: {error.strerror}; give another file") from error


def _diagnose(
    context: "Context", span: tuple[datetime, datetime] | None, until: datetime | None
) -> "tuple[Window, int, Diagnosed, str]":
    """Return the window, the champion's version, the diagnosis, and what it asks the labelling queue for."""
    from everfit.tasks.core.records import Window
    from everfit.tasks.monitoring.monitored_model import MonitoredModel
    from everfit.tasks.monitoring.signals.loss_diagnosis import ask_for_labels
    from everfit.tasks.monitoring.signals.loss_diagnosis import diagnosed as diagnosis_of

    now = parse_time(None, "--until")
    monitored = MonitoredModel.find(context, until or now)
    if span is not None:
        # The champion that answered the window, with the labels that are known today.
        monitored = MonitoredModel.find(context, span[1]).known_until(until or now)
        measured = Window(since=span[0], until=span[1])
    else:
        looks = [judged.decision.window.until for judged in monitored.judged]
        if until is None and looks:
            monitored = MonitoredModel.find(context, looks[-1])
        measured = monitored.labelled_window
    found = diagnosis_of(monitored, measured)
    return measured, monitored.champion.version, found, ask_for_labels(monitored, measured, found)


def _lines(name: str, window: "Window", version: int, found: "Diagnosis") -> list[str]:
    from everfit.tasks.core.loss_diagnosis import LOSS_TEXTS, PART_TEXTS

    rows = f"{found.window_rows:,} labelled rows, {found.reference_rows:,} of the hold-out"
    lines = [f"{name}, version {version}, {window}: {rows}", f"{found.summary}."]
    lines += [f"{found.advice}."] if found.advice else []
    lines += ["", f"parts of the change of the {LOSS_TEXTS[found.row_loss]}, with 95 % intervals:"]
    width = max(map(len, PART_TEXTS.values()))
    for part in found.split.parts:
        mark = ", beyond chance" if part.certain else ""
        lines.append(
            f"  {PART_TEXTS[part.name]:<{width}}  {part.change:+.3g} ({part.low:.3g} to {part.high:.3g}){mark}"
        )
    columns = [f"{column.name}: {column.share:.0%}" for column in found.columns if column.certain]
    for head, texts in (
        ("worst slices:", [slice_.summary for slice_ in found.slices]),
        ("columns by their share of the loss:", columns),
        ("values that the hold-out lacks:", list(found.values)),
        ("how to win it back:", list(found.remedies)),
        ("columns that were left out:", list(found.left_out)),
    ):
        lines += ["", head, *(f"  {text}" for text in texts)] if texts else []
    if max(found.window_rows, found.reference_rows) > found.sampled:
        lines += ["", f"Of either side at most {found.sampled:,} rows were looked at, drawn at random."]
    return lines
