"""The command `quarantine`: list, accept or discard the rows that failed their expectations."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import DataError, EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import DATA, AsJson, Model
from everfit.deployments.cli.output import print_json
from everfit.deployments.cli.roles import require_command_role

if TYPE_CHECKING:
    from everfit.tasks.ledger import Ledger

app = typer.Typer()


@app.command(rich_help_panel=DATA)
def quarantine(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    accept: Annotated[
        bool, typer.Option("--accept", help="Check the rows again, and move the good ones into the dataset.")
    ] = False,
    discard: Annotated[
        bool,
        typer.Option("--discard", help="Never use the rows. Without --reason and --turn this means all open rows."),
    ] = False,
    recheck: Annotated[
        bool,
        typer.Option(
            "--recheck", help="Move rows with an infinite or too large number from the dataset into quarantine."
        ),
    ] = False,
    reason: Annotated[str, typer.Option(help="Only rows with a reason that contains this text.")] = "",
    turn: Annotated[str | None, typer.Option(help="Only rows that this turn has put into quarantine.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the quarantined rows by reason; accept or discard them."""
    if accept + discard + recheck > 1:
        raise EverfitError("--accept, --discard and --recheck exclude each other; choose one")
    if recheck and (reason or turn):
        raise EverfitError("--recheck checks the whole dataset; remove --reason and --turn")
    environment.prepare(Settings())
    if accept or discard or recheck:
        _require_role(model)
    if recheck:
        content, lines = _recheck(model)
    elif accept:
        content, lines = _accept_rows(model, reason, turn)
    else:
        content, lines = _discard_rows(model, reason, turn) if discard else _list_rows(model, reason, turn)
    if as_json:
        print_json(content)
        return
    for line in lines:
        typer.echo(line)


def _require_role(model: str) -> None:
    """Refuse a person whom the spec gives no right to decide about quarantined rows."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    require_command_role(Context(load_spec(model), Settings()), "quarantine")


def _list_rows(model: str, reason: str, turn_id: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the open rows by reason, as JSON and as lines.

    Raises:
        DataError: The workspace has no data of the model, so that an empty quarantine would be no good news.
    """
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine import quarantine_groups
    from everfit.tasks.storage.workspace import Workspace

    name, workspace = load_spec(model).name, Workspace.of(Settings())
    if not (workspace.table(name, "dataset").exists() or workspace.table(name, "quarantine").exists()):
        raise DataError(
            f"{workspace.uri!r} has no data of {name!r} yet; run `everfit train` first, or check that "
            f"EVERFIT_WORKSPACE is the right one"
        )
    groups = quarantine_groups(name, workspace, reason=reason, turn_id=turn_id)
    rows = sum(group.rows for group in groups)
    lines = []
    for group in groups:
        lines += [f"{group.rows:>9,}  {group.reason}", *(f"           {sample}" for sample in group.samples)]
    chosen = " chosen" if reason or turn_id else ""
    lines.append(f"{name}: {rows:,}{chosen} open rows in quarantine")
    return {"model": name, "rows": rows, "groups": [group.model_dump(mode="json") for group in groups]}, lines


def _discard_rows(model: str, reason: str, turn_id: str | None) -> tuple[dict[str, Any], list[str]]:
    """Discard open rows and record that in the ledger."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine import discard, open_rows
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.storage.workspace import Workspace

    settings, name, user = Settings(), load_spec(model).name, user_name()
    now, table = datetime.now(UTC), Workspace.of(settings).table(name, "quarantine")
    rows = open_rows(table, reason, turn_id)
    if not rows.empty:  # recorded first: a second try would not find the settled rows
        summary = f"{user} discarded {len(rows):,} rows of the quarantine"
        chosen = {"rows": len(rows), "reason": reason, "turn": turn_id, "by": user}
        _record(Ledger.open(settings), name, now, "discarded", summary, chosen)
    discarded = discard(table, rows, f"person:{user}")
    lines = (
        [f"{name}: {discarded:,} rows discarded, recorded in the ledger"]
        if len(rows)
        else [_none(name, reason, turn_id)]
    )
    return {"model": name, "discarded": discarded, "by": user}, lines


def _recheck(model: str) -> tuple[dict[str, Any], list[str]]:
    """Move rows that no model can learn from out of the dataset, and record that in the ledger."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.recheck import recheck_dataset
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.storage.workspace import Workspace

    settings, spec, user = Settings(), load_spec(model), user_name()
    now, ledger = datetime.now(UTC), Ledger.open(settings)  # opened before any row moves
    with ledger.leases.hold(spec.name, scope="turn", holder=f"{user}, checking the dataset"):
        moved = recheck_dataset(spec, Workspace.of(settings), now)
        if moved:
            summary = (
                f"{user} moved {moved:,} rows with an infinite or too large number from the dataset into quarantine"
            )
            _record(ledger, spec.name, now, "rechecked", summary, {"rows": moved, "by": user})
    lines = [f"{spec.name}: {moved:,} rows with an infinite or too large number moved from the dataset into quarantine"]
    return {"model": spec.name, "moved": moved, "by": user}, lines


def _accept_rows(model: str, reason: str, turn_id: str | None) -> tuple[dict[str, Any], list[str]]:
    """Accept the open rows that pass the expectations now, and record that in the ledger."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine_acceptance import accept_rows
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.storage.workspace import Workspace

    settings, spec, user = Settings(), load_spec(model), user_name()
    now, ledger = datetime.now(UTC), Ledger.open(settings)  # opened before any row moves
    result = accept_rows(spec, Workspace.of(settings), now, reason, turn_id)
    if result.rows:
        summary = f"{user} accepted {result.accepted:,} rows of the quarantine; {result.still_bad:,} still fail"
        chosen = {"acceptance": result.model_dump(mode="json"), "reason": reason, "turn": turn_id, "by": user}
        _record(ledger, spec.name, now, "accepted", summary, chosen)
    summary = f"{spec.name}: {result.accepted:,} of {result.rows:,} rows accepted, {result.still_bad:,} still fail"
    lines = [summary, *(f"  {failure}" for failure in result.reasons)]
    lines = lines if result.rows else [_none(spec.name, reason, turn_id)]
    return {"model": spec.name, "by": user, **result.model_dump(mode="json")}, lines


def _none(name: str, reason: str, turn_id: str | None) -> str:
    """Return that nothing was done, because there are no such rows."""
    chosen = " with this reason and turn" if reason and turn_id else " with this reason" if reason else ""
    chosen = chosen or (" of this turn" if turn_id else "")
    return f"{name}: there are no open rows in quarantine{chosen}, so nothing was changed"


def _record(  # noqa: PLR0917 - the fields of a decision
    ledger: "Ledger", name: str, now: datetime, verdict: str, summary: str, record: dict[str, Any]
) -> None:
    """Record in the ledger what a person did with the quarantine."""
    ledger.decisions.record(
        f"{name}/quarantine/{now:%Y%m%dT%H%M%S%f}",
        model=name,
        kind="quarantine",
        verdict=verdict,
        until=now,
        reasons=(summary,),
        record=record,
    )
