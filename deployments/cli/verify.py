"""The command `verify`: check all that a model has against what was recorded."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli.decisions import without_prefect
from everfit.deployments.cli.options import DECIDE, AsJson, By, Model, Reason
from everfit.deployments.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from everfit.tasks.turns import model_check
    from everfit.tasks.turns.context import Context

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def verify(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Record the files of versions that have no record, and the files of the tables; needs --by and "
            "--reason.",
        ),
    ] = False,
    by: By = "",
    reason: Reason = "",
    noted: Annotated[
        str, typer.Option(help="A link of the ledger's chain that an earlier call printed, as NUMBER:HASH.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Verify ledger, versions, alias, tables and log of a model.

    Exit with 1 if anything doesn't fit, with one sentence for each. Versions of everfit 0.2 and before have no record
    of their files; --record makes one of their files as they are now.
    """
    context, server_answers = without_prefect(model)
    from everfit.tasks.core.event_names import ARTIFACTS_CHANGED
    from everfit.tasks.core.events import emit
    from everfit.tasks.release.approval import check_signature
    from everfit.tasks.turns import model_check

    name = context.spec.name
    if record:
        by, reason = check_signature(by, reason)
    elif by or reason:
        raise EverfitError("--by and --reason belong to --record; add --record, or remove them")
    done = _record(context, by, reason) if record else []
    checked = model_check.check_model(context, noted)
    files = 0
    if record and not any(problem.area == "tables" for problem in checked.problems):
        files = model_check.record_tables(context, by=by, reason=reason)
    if server_answers:
        for version in checked.versions:
            if version.state == "changed":
                emit(ARTIFACTS_CHANGED, name, version=version.version, reason="; ".join(version.problems))
    if as_json:
        print_json(checked.model_dump(mode="json") | {"recorded": done, "recorded_files": files})
    else:
        print_lines(*[f"Recorded version {number}" for number in done], *_lines(checked))
        if files:
            print_lines(f"Recorded {files:,} files of the tables")
    raise typer.Exit(1 if checked.problems else 0)


@app.command(rich_help_panel=DECIDE)
def keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the private key.")],
    as_json: AsJson = False,
) -> None:
    """Create a key that signs versions and releases.

    The private key goes to the file, which only its owner can read. The public key goes to standard output.
    """
    from everfit.tasks.models.signatures import new_key

    public = new_key(file)
    if as_json:
        print_json({"private_key": str(file), "public_key": public})
        return
    typer.echo(f"The private key is in {file}. Where models are trained and released, set", err=True)
    typer.echo(f"EVERFIT_SIGNING_KEY={file}", err=True)
    typer.echo("Add this line, with the owner's name after it, to the file that EVERFIT_SIGNERS names:", err=True)
    typer.echo(public)


def _record(context: "Context", by: str, reason: str) -> list[int]:
    """Record the files of versions without a record, and sign what this process has a key for."""
    from everfit.tasks.ledger.chain_signatures import sign_release
    from everfit.tasks.registry import verification

    name, ledger = context.spec.name, context.ledger
    done = verification.record_versions(context.mlflow, ledger, context.workspace, name, actor=by, reason=reason)
    if (current := ledger.releases.current(name)) is not None:
        sign_release(ledger, name, current.seq)
    return done


def _lines(checked: "model_check.ModelCheck") -> list[str]:
    from everfit.tasks.registry import verification

    chain = checked.chain
    lines = [f"ledger: {chain.links:,} links, the newest is {chain.head}"] if chain.links else ["ledger: no links yet"]
    for version in checked.versions:
        recorded = f", {version.recorded}" if version.recorded else ""
        lines.append(f"version {version.version}: {version.state}{recorded}")
        if version.state not in verification.MISFITS:
            lines += [f"  {problem}" for problem in version.problems]
    if not checked.versions:
        lines.append(f"{checked.model} has no versions; run `everfit train` first")
    lines += [f"{problem.area}: {problem.problem}" for problem in checked.problems]
    if not checked.problems:
        return [*lines, "All of it fits together"]
    return [*lines, f"{len(checked.problems)} thing{'s' if len(checked.problems) > 1 else ''} didn't fit"]
