"""Delete all rows of a key from everything that is stored of a model, and record the deletion.

The record holds a digest of the request and not the key. Somebody who knows the key can find the record by it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import AwareDatetime, Field

from everfit.tasks.batch.label_answers import forget_answers
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.models.artifacts import file_digest
from everfit.tasks.models.run_files import download_run_files, run_files
from everfit.tasks.monitoring.reference import SAMPLE_FILE
from everfit.tasks.retention import (
    deletion,
    key_rows,
    model_examples,
    table_statistics,
    table_upkeep,
    upkeep_facts,
)
from everfit.tasks.retention.row_examples import delete_row_examples
from everfit.tasks.retention.upkeep_facts import TABLES
from everfit.tasks.storage.deleted_keys import DeletedKey, allow_key, remember_key
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord


class KeyDeletion(Record):
    """The result of a deletion by key."""

    model: str
    request: str = Field(description="Digest of the requested key.")
    at: AwareDatetime
    by: str
    rows: dict[str, int] = Field(description="Deleted rows, by table.")
    staged: int = Field(description="Deleted rows that turns had staged.")
    references: int = Field(description="Rows deleted from the references of model versions.")
    examples: int = Field(default=0, description="Model versions whose input example held rows of the training data.")
    examples_left: tuple[str, ...] = Field(
        default=(), description="Model versions whose input example could not be replaced, with the reason."
    )
    validations: int = Field(default=0, description="Turns whose validation had examples of values.")
    past_files: int = Field(description="Deleted files of past table versions that held such rows.")
    broken_turns: tuple[str, ...] = Field(description="All turns that can no longer be reproduced.")
    ended: tuple[str, ...] = Field(description="The turns among them that could be reproduced before this deletion.")

    @property
    def found_any(self) -> bool:
        """Whether any data of the key was deleted."""
        return bool(sum(self.rows.values()) or self.staged or self.references or self.past_files)


def delete_key(context: Context, wanted: Sequence[str], at: datetime, by: str) -> KeyDeletion:
    """Delete all rows of a key, while no turn of the model runs.

    If the deletion is interrupted, run it again: it deletes the rest.

    Args:
        context: The model.
        wanted: `COLUMN=VALUE` of the key's columns, or of some of them.
        at: The time of the request.
        by: Name of the person who requests the deletion.

    Raises:
        BusyError: A turn of the model is running.
        SpecError: A given column is not part of the key.
        DataError: A value can't be one of the key, such as a text where keys are numbers.
    """
    name, workspace = context.spec.name, context.workspace
    key = key_rows.read_key(context.spec, wanted)
    key_rows.require_readable(context.spec, workspace, key)
    request = _digest(name, key)
    with context.ledger.leases.hold(name, scope="turn", holder=f"{by}, deleting rows"):
        found = key_rows.keys_of(context.spec, workspace, key)
        # Before anything is deleted: what reads a source meanwhile leaves these rows out already.
        columns = tuple(column for column in context.spec.columns.key if column in key)
        remember_key(
            workspace, name, DeletedKey(request=request, columns=columns, values=found.values, keys=found.keys)
        )
        keys = found.keys
        before = set(upkeep_facts.broken_turns(context))
        rows, past_files = dict.fromkeys(TABLES, 0), 0
        for table_name in TABLES:
            table = workspace.table(name, table_name)
            if keys and table.exists():
                rows[table_name] = table_upkeep.delete_keys(table, keys)
                past_files += table_upkeep.delete_past_files(workspace, table, keys)
                table_statistics.forget_statistics(workspace, table)
        forget_answers(workspace, name, set(keys))
        staged = _delete_staged(context, keys)
        references = _delete_from_references(context, keys, by)
        examples = model_examples.replace_examples(context, by)
        validations = delete_row_examples(context)
        broken = upkeep_facts.broken_turns(context)
        done = KeyDeletion(
            model=name,
            request=request,
            at=at,
            by=by,
            rows=rows,
            staged=staged,
            references=references,
            examples=len(examples.replaced),
            examples_left=examples.left,
            validations=validations,
            past_files=past_files,
            broken_turns=tuple(broken),
            ended=tuple(turn_id for turn_id in broken if turn_id not in before),
        )
        _record_deletion(context, done)
    return done


def allow_key_again(context: Context, wanted: Sequence[str], at: datetime, by: str) -> bool:
    """Let rows of a deleted key come in again from now on; what was deleted stays deleted.

    Args:
        context: The model.
        wanted: As it was given to `delete_key`.
        at: The time of the request.
        by: Name of the person who requests it.

    Returns:
        Whether rows of the key were left out until now.

    Raises:
        SpecError: A given column is not part of the key.
    """
    name = context.spec.name
    request = _digest(name, key_rows.read_key(context.spec, wanted))
    if not allow_key(context.workspace, name, request):
        return False
    context.ledger.decisions.record(
        f"{name}/forget/{request[:16]}/{at:%Y%m%dT%H%M%S%f}/again",
        model=name,
        kind="forget",
        verdict="allowed again",
        until=at,
        reasons=[f"{by} lets rows of a deleted key come in again"],
        record={"request": request, "by": by},
    )
    return True


def _digest(model: str, key: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([model, key], sort_keys=True).encode()).hexdigest()


def _delete_staged(context: Context, keys: Sequence[int]) -> int:
    """Delete all staged rows of ended turns, and the rows of the keys from other turns."""
    workspace, name = context.workspace, context.spec.name
    unfinished = {turn.id for turn in context.ledger.turns.of(name) if not turn.settled}
    emptied = 0
    staged = key_rows.staged_parts(workspace, name)
    for staging, parts in staged:
        emptied += key_rows.blank_staged(staging, parts, keys)
    for turn_id in {staging.turn_id for staging, _ in staged}:
        if turn_id not in unfinished and not _is_acceptance(context, turn_id):
            deletion.delete_files(workspace, upkeep_facts.staged_files(workspace, name, turn_id))
    return emptied


def _is_acceptance(context: Context, turn_id: str) -> bool:
    """Return whether these rows are being accepted from quarantine, which may have to be repeated."""
    return context.ledger.turns.find(turn_id) is None


def _delete_from_references(context: Context, keys: Sequence[int], by: str) -> int:
    """Delete the rows of the keys from the references, which are logged with the versions' runs."""
    deleted, done = 0, set()
    for turn in context.ledger.turns.of(context.spec.name):
        version = TurnRecord.recall(turn.record).version
        if version is not None and version.run_id and version.run_id not in done:
            done.add(version.run_id)
            deleted += _delete_from_sample(context, version, keys, by)
    return deleted


def _delete_from_sample(context: Context, version: ModelVersion, keys: Iterable[int], by: str) -> int:
    import pandas as pd

    client, run_id = context.mlflow, version.run_id
    if SAMPLE_FILE not in run_files(client, run_id, str(Path(SAMPLE_FILE).parent)):
        return 0
    with TemporaryDirectory(prefix="everfit-reference-") as folder:
        path = download_run_files(client, run_id, SAMPLE_FILE, folder)
        _check_sample(context, version, path)
        sample = pd.read_parquet(path)
        hit = sample[KEY].isin(list(keys))
        if hit.any():
            sample[~hit].reset_index(drop=True).to_parquet(path, index=False)
            if context.ledger.artifacts.find(version) is not None:
                # Recorded before the file is replaced. If this is killed in between, the next run does both again.
                context.ledger.artifacts.amend(
                    version, {SAMPLE_FILE: file_digest(path)}, actor=by, reason="the rows of a key were deleted"
                )
            client.log_artifact(run_id, str(path), str(Path(SAMPLE_FILE).parent))
        return int(hit.sum())


def _check_sample(context: Context, version: ModelVersion, sample: Path) -> None:
    """Refuse a sample that was never recorded, so that a replaced one does not become a recorded one."""
    recorded = {entry.files.get(SAMPLE_FILE) for entry in context.ledger.artifacts.history(version)}
    if recorded and file_digest(sample) not in recorded:
        context.ledger.artifacts.check_some(version, {SAMPLE_FILE: file_digest(sample)})


def _record_deletion(context: Context, done: KeyDeletion) -> None:
    counts = [f"{count:,} rows of {table}" for table, count in done.rows.items() if count]
    counts += [f"{done.staged:,} staged rows"] if done.staged else []
    counts += [f"{done.references:,} rows of references"] if done.references else []
    counts += [f"the input examples of {done.examples} model versions"] if done.examples else []
    counts += [f"the examples of values in the validations of {done.validations} turns"] if done.validations else []
    counts += [f"{done.past_files:,} files of past versions"] if done.past_files else []
    reasons = [f"{done.by} had the rows of a key deleted: {', '.join(counts) or 'there were none'}"]
    reasons += [f"an input example could not be replaced; {problem}" for problem in done.examples_left]
    reasons += [f"turn {turn_id} can no longer be reproduced" for turn_id in done.ended]
    context.ledger.decisions.record(
        f"{done.model}/forget/{done.request[:16]}/{done.at:%Y%m%dT%H%M%S%f}",
        model=done.model,
        kind="forget",
        verdict="removed" if done.found_any else "nothing found",
        until=done.at,
        reasons=reasons,
        record=done.model_dump(mode="json"),
    )
