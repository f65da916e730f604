"""The command `label-queue`: answers that are worth a person's look, out and back in."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import EverfitError, ModelError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment

if TYPE_CHECKING:
    from everfit.tasks.turns.context import Context

app = typer.Typer()


@app.command(name="label-queue")
def label_queue(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[
        str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")
    ],
    count: Annotated[int, typer.Option("--n", min=1, help="How many predictions to pick.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Where to write them; by default MODEL-labels.csv or .json.")] = None,
    kind: Annotated[str, typer.Option("--format", help="`csv`, or `label-studio`: tasks and the interface.")] = "csv",
    since: Annotated[
        str | None,
        typer.Option(help="Pick from events from this moment on, such as 2024-05-01; by default the last queue's end."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Pick from events before this moment; by default now.")] = None,
    filled: Annotated[
        Path | None, typer.Option("--read", help="Take the labels of this file, which people have filled in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
) -> None:
    """Pick predictions to be labelled by hand, or read back what people have filled in."""
    if filled is not None and (out or since or until):
        raise EverfitError("--read takes labels and picks none; leave out --out, --since and --until")
    if kind not in {"csv", "label-studio"}:
        raise EverfitError(f"--format {kind!r} is not known; there are csv and label-studio")
    from everfit.deployments.cli.monitoring import moment

    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    context = Context(load_spec(model), settings)
    if filled is not None:
        told = _read(context, filled)
    else:
        begin, end = None if since is None else moment(since, "--since"), moment(until, "--until")
        path = out or Path(f"{context.spec.name}-labels.{'csv' if kind == 'csv' else 'json'}")
        told = _write(context, count, begin, end, path, kind)
    if as_json:
        typer.echo(json.dumps(told, default=str, allow_nan=False))
    else:
        _print(told)


def _write(  # noqa: PLR0917
    context: "Context", count: int, since: datetime | None, until: datetime, path: Path, kind: Any
) -> dict[str, Any]:
    from collections import Counter

    from everfit.tasks.batch.label_queue import make_queue
    from everfit.tasks.monitoring.reference import load_reference
    from everfit.tasks.predictions.label_files import write_file
    from everfit.tasks.registry import model_registry

    spec, client = context.spec, context.mlflow
    champion = model_registry.champion(client, spec.name)
    if champion is None:
        raise ModelError(f"{spec.name!r} has no champion whose answers could be looked at; run `everfit train` first")
    note = ""
    try:
        profile = load_reference(client, champion.run_id).profile
    except ModelError as error:
        profile, note = None, f"none is picked for drift: {error}"
    classes = [] if spec.task == "regression" else _classes(context, champion)
    queue, rows = make_queue(
        context, until, count, since=since, version=champion.version, profile=profile, classes=classes
    )
    written = write_file(rows, path, kind, classes, spec.columns.target)
    return {
        "model": spec.name,
        "queue": queue.id,
        "window": queue.window.model_dump(mode="json"),
        "candidates": queue.candidates,
        "rows": len(queue.rows),
        "reasons": dict(Counter(row.reason for row in queue.rows)),
        "files": [str(one) for one in written],
        "note": note,
    }


def _classes(context: "Context", champion: Any) -> list[str]:
    from everfit.tasks.scoring.loading import load_scorer

    return [str(one) for one in load_scorer(context.mlflow, champion).classes]


def _read(context: "Context", path: Path) -> dict[str, Any]:
    from everfit.tasks.batch.label_queue import read_back
    from everfit.tasks.predictions.label_files import read_file

    found = read_back(context, read_file(path), datetime.now(UTC))
    return {"model": context.spec.name, **found.model_dump(mode="json")}


def _print(told: dict[str, Any]) -> None:
    if "queue" in told:
        reasons = ", ".join(f"{count} {reason}" for reason, count in told["reasons"].items())
        typer.echo(f"{told['rows']:,} of {told['candidates']:,} answers without a label were picked: {reasons}")
        typer.echo(f"Written to {' and '.join(told['files'])}; fill in the labels, then give it back with --read")
        if told["note"]:
            typer.echo(told["note"])
        return
    taken = told["recorded"]
    typer.echo(
        f"{taken['added']:,} labels taken, {taken['unchanged']:,} known already, {told['empty']:,} rows without one, "
        f"{len(told['conflicts']):,} conflicts"
    )
    for one in told["conflicts"]:
        known = f"; on record is {one['known']}" if one["known"] else ""
        typer.echo(f"  {one['prediction_id']}: given {' and '.join(one['said'])}{known}; not taken")
    if told["conflicts"]:
        typer.echo("Agree on one, and read the file again; `everfit labels MODEL FILE` overrules what is on record.")
