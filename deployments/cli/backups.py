"""The commands `backup` and `restore`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from everfit.deployments.cli.options import UPKEEP, AsJson, By, Model
from everfit.deployments.cli.output import print_json, print_lines

app = typer.Typer()

_SPECS = Path("deployments/models")


@app.command(rich_help_panel=UPKEEP)
def backup(
    model: Model,
    to: Annotated[str, typer.Option("--to", help="A new folder, or s3://bucket/prefix.")],
    as_json: AsJson = False,
) -> None:
    """Copy all that a model has to a folder or bucket.

    The loop may run and the service may answer meanwhile. Exit with 1 if something could not be read.
    """
    from everfit.deployments.cli.decisions import without_prefect

    context, _ = without_prefect(model)
    from everfit.tasks.backups.backup import back_up

    manifest = back_up(context, to)
    if as_json:
        print_json({**manifest.model_dump(mode="json", exclude={"files"}), "files": len(manifest.files)})
    else:
        size = sum(file.size for file in manifest.files.values())
        print_lines(
            f"Backed up {manifest.model} as of {manifest.at:%Y-%m-%d %H:%M:%S} UTC to {to}",
            f"  {len(manifest.files):,} files, {size / 1e6:,.1f} MB",
            *_count_lines(manifest.counts),
            *(f"  missing: {problem}" for problem in manifest.missing),
            f"Next: everfit restore {to}, where there is no such model",
        )
    raise typer.Exit(1 if manifest.missing else 0)


@app.command(rich_help_panel=UPKEEP)
def restore(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The folder or s3://bucket/prefix of a backup.")],
    spec: Annotated[
        Path | None, typer.Option(help="The spec file to write. By default it is deployments/models/MODEL.yaml.")
    ] = None,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Restore a backup where there is no such model.

    EVERFIT_WORKSPACE, EVERFIT_LEDGER_URL and MLFLOW_TRACKING_URI say where. If it is interrupted, run it again. Exit
    with 1 if something is not as it was registered.
    """
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    settings = Settings()
    environment.prepare_without_prefect(settings)
    from everfit.tasks.backups.restore import restore as restore_model
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.mlflow_client import check_tracking, tracking_client

    check_tracking(settings)
    done = restore_model(settings, Ledger.open(settings), tracking_client(settings), path, by=by or user_name())
    place, written = _write_spec(done.model, done.spec, spec)
    if as_json:
        print_json({**done.model_dump(mode="json", exclude={"spec"}), "spec": str(place), "spec_written": written})
    else:
        champion = "no champion" if done.champion is None else f"champion version {done.champion}"
        print_lines(
            f"Restored {done.model} as of {done.at}: {champion}, {done.versions} versions with verified files",
            *_count_lines(done.counts),
            *(f"  problem: {problem}" for problem in done.problems),
            f"  spec: {place}{'' if written else ' is there already and was left as it is'}",
            f"Next: everfit verify {place}",
        )
    raise typer.Exit(1 if done.problems else 0)


def _count_lines(counts: dict[str, int]) -> list[str]:
    return [f"  {count:>9,} {name}" for name, count in sorted(counts.items()) if count]


def _write_spec(model: str, content: dict[str, Any], path: Path | None) -> tuple[Path, bool]:
    """Write the spec, unless there is a file; return its place, and whether it was written."""
    import yaml

    place = path or _SPECS / f"{model}.yaml"
    if place.exists():
        return place, False
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return place, True
