"""The command `expectations`: propose a suite of expectations from the dataset and from refused batches."""

import difflib
from typing import Annotated, Any

import typer

from everfit.blocks.errors import DataError, SpecError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import DATA, AsJson, Model, parse_time
from everfit.deployments.cli.output import print_json

app = typer.Typer()


@app.command(rich_help_panel=DATA)
def expectations(
    model: Model,
    write: Annotated[bool, typer.Option("--write", help="Save the proposal as the suite of the model.")] = False,
    until: Annotated[
        str | None, typer.Option(help="Use only rows before this time, such as 2024-06-01. By default all rows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose expectations from the dataset and refused batches.

    The difference to the expectations of the spec is shown.
    """
    environment.prepare(Settings())
    content = _propose(model, until, write=write)
    if as_json:
        print_json(content)
        return
    for line in content["difference"]:
        typer.echo(line)
    if content["refused_rows"]:
        typer.echo(f"{content['refused_rows']:,} rows of refused batches meet the proposal too")
    typer.echo(f"{len(content['proposed'])} expectations proposed, {len(content['present'])} in the present suite")
    if content["written"]:
        typer.echo(f"Saved to {content['path']}")
    elif content["in_spec"]:
        typer.echo("Nothing was changed. The suite is in the spec, under expectations.suite; edit it there")
    else:
        typer.echo(f"Nothing was changed. Add --write to save the proposal, or edit {content['path']}")


def _propose(model: str, until: str | None, *, write: bool) -> dict[str, Any]:
    """Propose a suite that the rows of the dataset meet, and those of refused batches.

    Raises:
        DataError: The dataset has no rows.
        SpecError: The suite is in the spec, which everfit doesn't overwrite.
    """
    from everfit.tasks.core.records import Window
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine_acceptance import refused_rows
    from everfit.tasks.data.sampling import even_sample
    from everfit.tasks.data.suite import (
        SAMPLE_ROWS,
        infer_suite,
        keep_suite,
        loosest,
        suite_of,
        suite_path,
        write_suite,
    )
    from everfit.tasks.storage.workspace import Workspace

    window = Window(until=parse_time(until, "--until")) if until else None
    spec, workspace = load_spec(model), Workspace.of(Settings())
    table = workspace.table(spec.name, "dataset")
    frame, rows = even_sample(table.batches(window, spec.columns.time) if table.exists() else (), SAMPLE_ROWS)
    if not rows:
        raise DataError(f"{spec.name}: the dataset has no rows to propose expectations from; run `everfit train` first")
    proposed = infer_suite(frame, spec)
    refused = refused_rows(spec, workspace, SAMPLE_ROWS)
    if len(refused):
        proposed = loosest(proposed, infer_suite(refused, spec))
    present = suite_of(spec, workspace) or ()
    if write and spec.expectations.suite is not None:
        raise SpecError(f"{spec.name}: the suite is in the spec, under expectations.suite; edit it there")
    if write:
        keep_suite(spec, proposed, workspace, accepted=True)
    old, new = (write_suite(suite).decode().splitlines() for suite in (present, proposed))
    return {
        "model": spec.name,
        "present": [expectation.model_dump(mode="json") for expectation in present],
        "proposed": [expectation.model_dump(mode="json") for expectation in proposed],
        "difference": list(difflib.unified_diff(old, new, "present", "proposed", lineterm="", n=1)),
        "refused_rows": len(refused),
        "written": write,
        "in_spec": spec.expectations.suite is not None,
        "path": suite_path(spec, workspace),
    }
