"""The command `label-queue`: pick predictions for labelling by hand, and read the labels back."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from everfit.blocks.errors import EverfitError, ModelError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import LOOP, AsJson, Model, parse_time
from everfit.deployments.cli.output import print_json
from everfit.deployments.cli.roles import require_command_role

if TYPE_CHECKING:
    from everfit.tasks.core.records import ModelVersion
    from everfit.tasks.turns.context import Context

app = typer.Typer()


@app.command(name="label-queue", rich_help_panel=LOOP)
def label_queue(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    count: Annotated[int, typer.Option("--n", min=1, help="The number of predictions to pick.")] = 200,
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
    as_json: AsJson = False,
) -> None:
    """Pick predictions to label by hand, or read the labels back."""
    if read is not None and (out or since or until):
        raise EverfitError("--read reads labels and picks nothing; remove --out, --since and --until")
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    context = Context(load_spec(model), settings)
    if read is not None:
        content = _read_labels(context, read)
        lines = _lines_of_labels(content)
    else:
        begin, end = None if since is None else parse_time(since, "--since"), parse_time(until, "--until")
        path = out or Path(f"{context.spec.name}-labels.{'csv' if file_format == 'csv' else 'json'}")
        content = _pick(context, count, begin, end, path, file_format)
        lines = _lines_of_queue(content)
    if as_json:
        print_json(content)
        return
    for line in lines:
        typer.echo(line)


def _pick(  # noqa: PLR0917
    context: "Context", count: int, since: datetime | None, until: datetime, path: Path, file_format: Any
) -> dict[str, Any]:
    from collections import Counter

    from everfit.tasks.batch.label_queue import make_queue
    from everfit.tasks.monitoring.reference import load_reference
    from everfit.tasks.predictions.label_files import write_file
    from everfit.tasks.registry import model_registry

    spec, client = context.spec, context.mlflow
    champion = model_registry.champion(client, spec.name)
    if champion is None:
        raise ModelError(f"{spec.name!r} has no champion, and so no predictions to label; run `everfit train` first")
    note = ""
    try:
        profile = load_reference(client, context.ledger, champion).profile
    except ModelError as error:
        profile, note = None, f"Note: no rows are picked for drift, since {error}"
    classes = [] if spec.task == "regression" else _classes(context, champion)
    queue, rows = make_queue(
        context, until, count, since=since, version=champion.version, profile=profile, classes=classes
    )
    files = write_file(rows, path, file_format, classes, spec.columns.target)
    return {
        "model": spec.name,
        "queue": queue.id,
        "window": queue.window.model_dump(mode="json"),
        "candidates": queue.candidates,
        "rows": len(queue.rows),
        "reasons": dict(Counter(row.reason for row in queue.rows)),
        "files": [str(file) for file in files],
        "note": note,
    }


def _classes(context: "Context", champion: "ModelVersion") -> list[str]:
    from everfit.tasks.scoring.loading import load_scorer

    return [str(label) for label in load_scorer(context.mlflow, context.ledger, champion).classes]


def _read_labels(context: "Context", path: Path) -> dict[str, Any]:
    require_command_role(context, "label")
    from everfit.tasks.batch.label_queue import record_returned
    from everfit.tasks.predictions.label_files import read_file

    result = record_returned(context, read_file(path), datetime.now(UTC))
    return {"model": context.spec.name, **result.model_dump(mode="json")}


def _lines_of_queue(queue: dict[str, Any]) -> list[str]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in queue["reasons"].items())
    files = " and ".join(queue["files"])
    lines = [
        f"Picked {queue['rows']:,} of {queue['candidates']:,} predictions without a label: {reasons or 'none'}",
        f"Wrote {files}; fill in the labels, then run everfit label-queue {queue['model']} --read FILE",
    ]
    return [*lines, queue["note"]] if queue["note"] else lines


def _lines_of_labels(labels: dict[str, Any]) -> list[str]:
    recorded, conflicts = labels["recorded"], labels["conflicts"]
    counts = f"{recorded['added']:,} new labels, {recorded['unchanged']:,} already known"
    lines = [f"{counts}, {labels['empty']:,} rows without a label, {len(conflicts):,} conflicts"]
    for conflict in conflicts:
        known = f"; the recorded label is {conflict['known']}" if conflict["known"] else ""
        lines.append(f"  {conflict['prediction_id']}: {' and '.join(conflict['given'])}{known}; not recorded")
    if conflicts:
        lines.append(
            "Agree on one label each and read the file again. `everfit labels MODEL FILE` overrules the record."
        )
    return lines
