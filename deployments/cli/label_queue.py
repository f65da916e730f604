"""The command `label-queue`: pick predictions for labelling by hand, and read the labels back."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import LOOP, AsJson, Model, parse_time
from everfit.deployments.cli.output import print_json
from everfit.deployments.cli.roles import require_command_role

if TYPE_CHECKING:
    from everfit.tasks.turns.context import Context

app = typer.Typer()


@app.command(name="label-queue", rich_help_panel=LOOP)
def label_queue(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    count: Annotated[
        int | None, typer.Option("--n", min=1, help="The number of predictions to pick. By default 200.")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            metavar="HALF-WIDTH",
            help="Pick as many rows as tell the primary metric to plus or minus this, and those that tell most.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. By default it is MODEL-labels.csv or MODEL-labels.json.")
    ] = None,
    file_format: Annotated[
        Literal["csv", "label-studio"],
        typer.Option("--format", help="`csv`, or `label-studio` for tasks and a labelling interface."),
    ] = "csv",
    since: Annotated[
        str | None,
        typer.Option(help="Pick from events at or after this time. By default it is the end of the last queue."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Pick from events before this time. By default it is now.")] = None,
    read: Annotated[
        Path | None, typer.Option("--read", help="Read the labels that people have filled into this file.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="The person who labelled the file that is read. By default it is the user of this machine."),
    ] = None,
    open_rows: Annotated[
        bool, typer.Option("--open", help="Show the rows on which people differ, and pick nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pick predictions to label by hand, or read the labels back."""
    picking = {"--n": count, "--within": within, "--out": out, "--since": since, "--until": until}
    if (read is not None or open_rows) and (given := [name for name, value in picking.items() if value is not None]):
        raise EverfitError(f"{'--open' if open_rows else '--read'} picks nothing; remove {', '.join(given)}")
    if open_rows and read is not None:
        raise EverfitError("--open and --read are two commands; give one of them")
    if count is not None and within is not None:
        raise EverfitError("--within says how many rows are picked; remove --n")
    if within is not None and not within > 0:
        raise EverfitError(f"--within {within} is no half-width; give a positive number in the metric's unit")
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    context = Context(load_spec(model), settings)
    if open_rows:
        content = _open(context)
        lines = _lines_of_conflicts(content)
    elif read is not None:
        content = _read_labels(context, read, by)
        lines = _lines_of_labels(content)
    else:
        begin, end = None if since is None else parse_time(since, "--since"), parse_time(until, "--until")
        path = out or Path(f"{context.spec.name}-labels.{'csv' if file_format == 'csv' else 'json'}")
        content = _pick(context, count or 200, within, (begin, end), path, file_format)
        lines = _lines_of_queue(content)
    if as_json:
        print_json(content)
        return
    for line in lines:
        typer.echo(line)


def _pick(  # noqa: PLR0917
    context: "Context",
    count: int,
    within: float | None,
    span: tuple[datetime | None, datetime],
    path: Path,
    file_format: Any,
) -> dict[str, Any]:
    from everfit.tasks.batch.label_queue import make_queue
    from everfit.tasks.monitoring.queue_basis import queue_basis
    from everfit.tasks.predictions.label_files import write_file

    spec = context.spec
    basis, note = queue_basis(context, span[1], within)
    queue, rows = make_queue(context, span[1], count, since=span[0], basis=basis)
    files = write_file(rows, path, file_format, basis.classes, spec.columns.target)
    return {
        "model": spec.name,
        "queue": queue.id,
        "window": queue.window.model_dump(mode="json"),
        "candidates": queue.candidates,
        "rows": len(queue.rows),
        "reasons": dict(Counter(row.reason for row in queue.rows)),
        "people": spec.monitoring.label_queue.people,
        "metric": spec.metric if within is not None else None,
        "half_width": queue.half_width,
        "files": [str(file) for file in files],
        "note": note,
    }


def _read_labels(context: "Context", path: Path, by: str | None) -> dict[str, Any]:
    require_command_role(context, "label")
    from everfit.tasks.batch.returned_labels import record_returned
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.predictions.label_files import read_file

    result = record_returned(context, read_file(path), datetime.now(UTC), by=user_name() if by is None else by)
    return {"model": context.spec.name, **result.model_dump(mode="json")}


def _open(context: "Context") -> dict[str, Any]:
    from everfit.tasks.batch.label_requests import read_requests
    from everfit.tasks.batch.returned_labels import open_conflicts

    found = open_conflicts(context, datetime.now(UTC))
    asked = [
        {"window": str(request.window), "asked": request.summary}
        for request in read_requests(context.workspace, context.spec.name)
    ]
    return {
        "model": context.spec.name,
        "people": context.spec.monitoring.label_queue.people,
        "waiting": found.waiting,
        "conflicts": [one.model_dump(mode="json") for one in found.conflicts],
        "diagnoses": asked,
    }


def _lines_of_queue(queue: dict[str, Any]) -> list[str]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in queue["reasons"].items())
    files, more = " and ".join(queue["files"]), ""
    if queue["people"] > 1:
        more = f" --by NAME; {queue['people']} people must give a row the same label"
    checked = sum(queue["reasons"].get(reason, 0) for reason in ("suspect", "contradicting"))
    beside = f" and {checked:,} labels to check" if checked else ""
    unlabelled = f"{queue['rows'] - checked:,} of {queue['candidates']:,} predictions without a label"
    lines = [
        f"Picked {unlabelled}{beside}: {reasons or 'none'}",
        f"Wrote {files}; fill in the labels, then run everfit label-queue {queue['model']} --read FILE{more}",
    ]
    if queue["half_width"] is not None:
        lines.insert(1, f"With their labels, {queue['metric']} is known to ±{queue['half_width']:.3g}")
    return [*lines, queue["note"]] if queue["note"] else lines


def _lines_of_labels(labels: dict[str, Any]) -> list[str]:
    recorded, conflicts = labels["recorded"], labels["conflicts"]
    counts = f"{recorded['added']:,} new labels, {recorded['unchanged']:,} already known"
    lines = [f"{counts}, {labels['empty']:,} rows without a label, {len(conflicts):,} conflicts"]
    if labels["confirmed"] or labels["replaced"]:
        lines.append(f"Labels to check: {labels['replaced']:,} wrong, {labels['confirmed']:,} right")
    return [*lines, *_lines_of_conflicts(labels)]


def _lines_of_conflicts(labels: dict[str, Any]) -> list[str]:
    lines = [f"{labels['waiting']:,} rows wait for another person"] if labels["waiting"] else []
    for conflict in labels["conflicts"]:
        known = f"; the recorded label is {conflict['known']}" if conflict["known"] else ""
        given = conflict["given"]
        if conflict["by"]:
            given = [f"{label} ({person})" for label, person in zip(given, conflict["by"], strict=True)]
        lines.append(f"  {conflict['prediction_id']}: {' and '.join(given)}{known}; not recorded")
    if labels["conflicts"]:
        lines.append(
            "Agree on one label each and read the file again. `everfit labels MODEL FILE` overrules the record."
        )
    asked = labels.get("diagnoses")
    if asked is None:
        return lines
    lines += [f"The diagnosis of {one['window']} asks for {one['asked']}" for one in asked]
    return lines or ["No row waits for another person, and no diagnosis asks for labels"]
