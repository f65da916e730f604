"""Check all that a model has: the ledger's chain, the files of versions, the alias, the tables, the prediction log."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Literal, get_args

from pydantic import Field

from everfit.blocks.errors import DataError, EverfitError, WorkspaceError
from everfit.tasks.core.records import Record, Snapshot
from everfit.tasks.data.commit import take_snapshot
from everfit.tasks.data.content_check import check_contents
from everfit.tasks.ledger.chain_check import ChainState, check_chain
from everfit.tasks.ledger.chain_signatures import check_signatures
from everfit.tasks.predictions.log_check import check_log
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.alias_check import check_alias
from everfit.tasks.registry.artifact_records import read_anchors
from everfit.tasks.registry.verification import MISFITS, VerifiedVersion, verify_versions
from everfit.tasks.storage.commit_check import check_commits
from everfit.tasks.storage.table_check import check_table, file_digests
from everfit.tasks.storage.workspace import TableName
from everfit.tasks.turns.context import Context

TABLES = "tables"
"""Kind of the decision that records the digests of the tables' files."""

_TABLES: tuple[TableName, ...] = get_args(TableName)

Area = Literal["ledger", "versions", "registry", "tables", "prediction log"]


class Misfit(Record):
    """One thing that doesn't fit."""

    area: Area
    problem: str


class TableFiles(Record):
    """The digests of the files of a model's tables, as somebody recorded them."""

    files: dict[str, dict[str, str]] = Field(description="SHA-256 by path within the table, by name of the table.")
    versions: dict[str, int] = Field(default={}, description="Version by name of the table; a later commit is checked.")


class ModelCheck(Record):
    """The result of a check of a model."""

    model: str
    chain: ChainState
    versions: tuple[VerifiedVersion, ...]
    problems: tuple[Misfit, ...]


def check_model(context: Context, noted: str = "") -> ModelCheck:
    """Check all that a model has, and change nothing.

    Args:
        context: The model.
        noted: A link of the ledger's chain that somebody noted at an earlier check, as `SEQ:HASH`.
    """
    model, client, ledger = context.spec.name, context.mlflow, context.ledger
    signed, unsigned = check_signatures(ledger, model)
    anchors = read_anchors(client, model) | signed | ({"the note": noted} if noted else {})
    chain = check_chain(ledger.store, model, anchors)
    versions = tuple(verify_versions(client, ledger, context.workspace, model))
    problems = _in_area("ledger", [*chain.problems, *unsigned])
    for version in versions:
        if version.state in MISFITS:
            problems += [Misfit(area="versions", problem=problem) for problem in version.problems]
    problems += _in_area("registry", _attempt(lambda: check_alias(client, ledger, model)))
    problems += _in_area("registry", _missing(context, {version.version for version in versions}))
    recorded = _recorded_tables(context)
    files = {name: _attempt(partial(_check_files, context, name, recorded)) for name in _TABLES}
    commits = [_attempt(partial(_check_commits, context, name, recorded)) for name in _TABLES if not files[name]]
    problems += _in_area("tables", [problem for found in [*files.values(), *commits] for problem in found])
    # Torn files are one problem, and not one more of everything that is read from them.
    if not files["dataset"]:
        problems += _in_area("tables", _attempt(lambda: list(_dataset(context))))
    if not files["predictions"]:
        problems += _in_area("prediction log", _attempt(lambda: _log(context)))
    return ModelCheck(model=model, chain=chain, versions=versions, problems=tuple(problems))


def record_tables(context: Context, *, by: str, reason: str) -> int:
    """Record the digests of the files of the model's tables, so that a later check finds a file that was changed.

    Args:
        context: The model.
        by: Name of the person who says that the tables are right.
        reason: Why.

    Returns:
        The number of files.
    """
    workspace, model = context.workspace, context.spec.name
    tables = {name: workspace.table(model, name) for name in _TABLES}
    files = {name: file_digests(workspace, table) for name, table in tables.items()}
    versions = {name: int(table.open().version()) for name, table in tables.items() if table.exists()}
    entry = TableFiles(files=files, versions=versions)
    identity = f"{model}/{TABLES}/{entry.digest()[:16]}"
    context.ledger.decisions.record(
        identity, model=model, kind=TABLES, verdict="recorded", reasons=[f"{reason} ({by})"], record=entry
    )
    return sum(map(len, files.values()))


def _attempt(check: Callable[[], list[str]]) -> list[str]:
    try:
        return check()
    except EverfitError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything, and must not hide the other areas
        return [f"it can't be read: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"]


def _in_area(area: Area, problems: Sequence[str]) -> list[Misfit]:
    return [Misfit(area=area, problem=problem) for problem in problems]


def _check_files(context: Context, name: TableName, recorded: TableFiles) -> list[str]:
    workspace = context.workspace
    return check_table(workspace, workspace.table(context.spec.name, name), recorded.files.get(name))


def _check_commits(context: Context, name: TableName, recorded: TableFiles) -> list[str]:
    workspace, since = context.workspace, recorded.versions.get(name, -1)
    return check_commits(workspace, workspace.table(context.spec.name, name), since, recorded.files.get(name, ()))


def _recorded_tables(context: Context) -> TableFiles:
    recorded = context.ledger.decisions.of(context.spec.name, kind=TABLES, limit=1)
    return TableFiles.recall(recorded[-1].record) if recorded else TableFiles(files={})


def _dataset(context: Context) -> Iterator[str]:
    yield from check_contents(context.workspace.table(context.spec.name, "dataset"))
    yield from _champion_data(context)


def _champion_data(context: Context) -> Iterator[str]:
    """Compare the champion's training data with the snapshot that its turn recorded."""
    ledger, model = context.ledger, context.spec.name
    current = ledger.releases.current(model)
    turn = ledger.turns.find(current.turn_id) if current is not None and current.turn_id else None
    content: Any = turn.record.get("snapshot") if turn is not None else None
    if turn is None or not content or turn.id in _broken(context):
        return
    snapshot = Snapshot.recall(content)
    try:
        now = take_snapshot(context.spec, snapshot.window, context.workspace, snapshot.version)
    except (DataError, WorkspaceError) as error:
        yield f"the training data of turn {turn.id!r} can't be read: {error}"
        return
    if now.content_digest != snapshot.content_digest:
        yield (
            f"the training data of turn {turn.id!r} has {now.rows:,} rows with digest {now.content_digest[:12]}…, and "
            f"{snapshot.rows:,} rows with {snapshot.content_digest[:12]}… were recorded"
        )


def _missing(context: Context, present: Collection[int]) -> list[str]:
    """Return the versions whose files are recorded, and that the registry does not have and no upkeep has deleted."""
    ledger, model = context.ledger, context.spec.name
    upkeeps = ledger.decisions.of(model, kind="upkeep")
    deleted = {int(version) for upkeep in upkeeps for version in upkeep.record.get("versions", ())}
    gone = sorted(set(ledger.artifacts.versions(model)) - set(present) - deleted)
    return [f"version {number} was registered, and the registry does not have it any more" for number in gone]


def _broken(context: Context) -> set[str]:
    """Return the turns whose training data was deleted by upkeep or by a person."""
    return {
        str(turn_id)
        for kind in ("upkeep", "forget")
        for decision in context.ledger.decisions.of(context.spec.name, kind=kind)
        for turn_id in decision.record.get("broken_turns", ())
    }


def _log(context: Context) -> list[str]:
    model, ledger = context.spec.name, context.ledger
    known = {*model_registry.versions(context.mlflow, model), *ledger.artifacts.versions(model)}
    known |= {entry.version for entry in ledger.releases.of(model)}
    return check_log(context.workspace.table(model, "predictions"), known)
