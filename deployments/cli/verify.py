"""The command `verify`: compare the files of registered versions with the ledger."""

from typing import Annotated

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli.decisions import without_prefect
from everfit.deployments.cli.options import DECIDE, AsJson, By, Model, Reason
from everfit.deployments.cli.output import print_json, print_lines

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def verify(
    model: Model,
    record: Annotated[
        bool,
        typer.Option("--record", help="Record the files of versions that have no record; needs --by and --reason."),
    ] = False,
    by: By = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Verify that the files of versions are as registered.

    Exit with 1 if a file was changed. Versions of everfit 0.2 and before have no record; --record makes one of their
    files as they are now.
    """
    context, server_answers = without_prefect(model)
    from everfit.tasks.core.event_names import ARTIFACTS_CHANGED
    from everfit.tasks.core.events import emit
    from everfit.tasks.registry import verification
    from everfit.tasks.release.approval import check_signature

    name, places = context.spec.name, (context.mlflow, context.ledger, context.workspace)
    if record:
        by, reason = check_signature(by, reason)
    elif by or reason:
        raise EverfitError("--by and --reason belong to --record; add --record, or remove them")
    done = verification.record_versions(*places, name, actor=by, reason=reason) if record else []
    versions = verification.verify_versions(*places, name)
    changed = [version for version in versions if version.state == "changed"]
    if server_answers:
        for version in changed:
            emit(ARTIFACTS_CHANGED, name, version=version.version, reason="; ".join(version.problems))
    if as_json:
        shown = [version.model_dump(mode="json") for version in versions]
        print_json({"model": name, "recorded": done, "versions": shown})
    else:
        lines = [f"Recorded version {number}" for number in done]
        for version in versions:
            recorded = f", {version.recorded}" if version.recorded else ""
            lines.append(f"version {version.version}: {version.state}{recorded}")
            lines += [f"  {problem}" for problem in version.problems]
        print_lines(*(lines or [f"{name} has no versions; run `everfit train` first"]))
    raise typer.Exit(1 if any(version.state in {"changed", "unreadable"} for version in versions) else 0)
