"""The command `rehearse`: what the loop would have brought in the past."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import SpecError
from everfit.blocks.policy import parse_duration
from everfit.deployments.cli.options import START, AsJson, Model, is_debug, parse_time
from everfit.deployments.cli.output import print_json

if TYPE_CHECKING:
    from everfit.tasks.rehearsal.recommendation import Recommendation

app = typer.Typer()


@app.command(rich_help_panel=START)
def rehearse(  # noqa: PLR0917 - each is an option of the command
    context: typer.Context,
    model: Model,
    since: Annotated[
        str | None,
        typer.Option("--from", help="The moment of the first training. By default a quarter of history is before it."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="The end of the last window. By default it is the end of the newest day.")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="The length of a window, such as 7d. By default it is `monitoring.window`.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="A YAML file to compare with: some keys of a spec, or a whole one. Repeat it for more."),
    ] = None,
    vary: Annotated[
        bool,
        typer.Option("--variations/--no-variations", help="Compare with the usual variations of the spec as well."),
    ] = True,
    cost: Annotated[
        float | None,
        typer.Option(min=0, help="The cost of a turn, in the spec's unit of value, or in the metric of one window."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="How many processes run at a time. By default one a core, at most four.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write a confirmed recommendation into the spec file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what each policy of retraining would have brought.

    It lives through the history of the model's source, and changes nothing of the model. A rehearsal that was stopped
    goes on where it was.
    """
    if write and not model.endswith((".yaml", ".yml")):
        raise SpecError(f"--write changes a spec file, and {model!r} is none; give the path of its .yaml file")
    from everfit.deployments.cli import runs
    from everfit.tasks.rehearsal.patches import read_patch

    patches = dict(read_patch(path) for path in policy or [])
    begin = None if since is None else parse_time(since, "--from")
    end = None if until is None else parse_time(until, "--to")
    _check_length(every)

    def flow() -> Any:
        from everfit.flows.rehearsal_flow import rehearsal

        return rehearsal(model, begin, end, every, patches, cost, jobs, vary=vary, return_state=True)

    try:
        _, result = runs.run(model, parse_time(None, "--to"), flow, quiet=not is_debug(context))
    except KeyboardInterrupt:
        typer.echo("everfit: stopped; the same command goes on where it was", err=True)
        raise
    from everfit.tasks.rehearsal.outcome import Rehearsal

    page = str(result.pop("page"))
    outcome = Rehearsal.model_validate(result)
    written = _write(Path(model), outcome.recommendation) if write else ""
    if as_json:
        print_json({**result, "page": page, "written": bool(written)})
        return
    from everfit.deployments.rehearsal.views import print_rehearsal

    print_rehearsal(outcome, page)
    if write:
        typer.echo(written or f"{model} is unchanged: only a recommendation that later windows confirm is written")


def _check_length(every: str | None) -> None:
    """Refuse an impossible length of a window before Prefect starts, which takes seconds."""
    try:
        length = None if every is None else parse_duration(every)
    except ValueError as error:
        raise SpecError(f"--every: {error}") from error
    if length is not None and length <= timedelta(0):
        raise SpecError(f"--every {every!r} is empty or negative; give a duration such as 7d")


def _write(path: Path, found: "Recommendation") -> str:
    """Write a confirmed patch into the spec, and return what was done; empty if nothing was."""
    from everfit.tasks.core.spec_loading import read_spec
    from everfit.tasks.rehearsal.patches import changed_keys, write_patch

    if found.verdict != "change":
        return ""
    comment = f"By everfit rehearse, {found.policy!r}: {found.confirmed}"
    text = write_patch(path.read_text(encoding="utf-8"), found.patch, comment)
    read_spec(text, str(path))  # never leave a spec that can't be read
    path.write_text(text, encoding="utf-8")
    return f"Wrote {'; '.join(changed_keys(found.patch))} to {path}"
