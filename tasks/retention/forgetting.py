"""Forgetting: all that is kept of the rows of a key is taken away, once, and it is on record that it was.

The record has a digest of what was requested, and not the key itself: who knows the key can find it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record
from everfit.tasks.monitoring.reference import SAMPLE_FILE
from everfit.tasks.retention import housekeeping, key_rows, table_upkeep
from everfit.tasks.retention.housekeeping import TABLES
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Forgotten(Record):
    """What was taken away."""

    model: str
    request: str = Field(description="Digest of the key that was requested.")
    at: AwareDatetime
    by: str
    rows: dict[str, int] = Field(description="Rows removed, by table.")
    staged: int = Field(description="Rows removed that turns have staged.")
    references: int = Field(description="Rows removed from the references of model versions.")
    past_files: int = Field(description="Files of past states of the tables that held such rows, and are gone.")
    broken_turns: tuple[str, ...] = Field(description="All turns that can't be reproduced any more.")
    ended: tuple[str, ...] = Field(description="Those of them that this has ended.")

    @property
    def found_any(self) -> bool:
        """Whether there was anything of the key."""
        return bool(sum(self.rows.values()) or self.staged or self.references or self.past_files)


def forget_key(context: Context, wanted: Sequence[str], at: datetime, by: str) -> Forgotten:
    """Take away all rows of a key, while no turn of the model runs.

    Broken off, it is to be asked for again, and takes away what is left.

    Args:
        context: The model and where its things are.
        wanted: `COLUMN=VALUE` of the key's columns, or of some of them.
        at: When it is requested.
        by: The caller.

    Raises:
        BusyError: a turn of the model is running.
        SpecError: what was given is no part of the key.
    """
    name, workspace = context.spec.name, context.workspace
    key = key_rows.read_key(context.spec, wanted)
    request = hashlib.sha256(json.dumps([name, key], sort_keys=True).encode()).hexdigest()
    with context.ledger.leases.hold(name, scope="turn", holder=f"{by}, who removes rows"):
        keys = key_rows.keys_of(context.spec, workspace, key)
        before = set(housekeeping.broken_turns(context))
        rows, past_files = dict.fromkeys(TABLES, 0), 0
        for table_name in TABLES:
            table = workspace.table(name, table_name)
            if keys and table.exists():
                rows[table_name] = table_upkeep.remove_keys(table, keys)
                past_files += table_upkeep.purge_keys(workspace, table, keys)
        staged = _forget_staged(context, keys)
        references = _forget_references(context, keys)
        broken = housekeeping.broken_turns(context)
        done = Forgotten(
            model=name,
            request=request,
            at=at,
            by=by,
            rows=rows,
            staged=staged,
            references=references,
            past_files=past_files,
            broken_turns=tuple(broken),
            ended=tuple(turn_id for turn_id in broken if turn_id not in before),
        )
        _write_down(context, done)
    return done


def _forget_staged(context: Context, keys: Sequence[int]) -> int:
    """What turns that are over have staged goes whole; of others, the rows of the keys."""
    workspace, name = context.workspace, context.spec.name
    unfinished = {turn.id for turn in context.ledger.turns.of(name) if not turn.settled}
    emptied = 0
    staged = key_rows.staged_parts(workspace, name)
    for staging, parts in staged:
        emptied += key_rows.blank_staged(staging, parts, keys)
    for turn_id in {staging.turn_id for staging, _ in staged}:
        if turn_id not in unfinished and not _is_release(context, turn_id):
            housekeeping.remove_files(workspace, housekeeping.staged_files(workspace, name, turn_id))
    return emptied


def _is_release(context: Context, turn_id: str) -> bool:
    """Whether these are rows on their way out of quarantine, which somebody may yet have to ask for again."""
    return context.ledger.turns.find(turn_id) is None


def _forget_references(context: Context, keys: Sequence[int]) -> int:
    """The samples of training rows that monitoring compares with, which are logged with the versions' runs."""
    removed, done = 0, set()
    for turn in context.ledger.turns.of(context.spec.name):
        version = TurnRecord.recall(turn.record).version
        if version is not None and version.run_id and version.run_id not in done:
            done.add(version.run_id)
            removed += _forget_sample(context.mlflow, version.run_id, keys)
    return removed


def _forget_sample(client: "MlflowClient", run_id: str, keys: Iterable[int]) -> int:
    import pandas as pd

    if not any(item.path == SAMPLE_FILE for item in client.list_artifacts(run_id, str(Path(SAMPLE_FILE).parent))):
        return 0
    with TemporaryDirectory(prefix="everfit-reference-") as folder:
        path = client.download_artifacts(run_id, SAMPLE_FILE, folder)
        sample = pd.read_parquet(path)
        hit = sample[KEY].isin(list(keys))
        if hit.any():
            sample[~hit].reset_index(drop=True).to_parquet(path, index=False)
            client.log_artifact(run_id, path, str(Path(SAMPLE_FILE).parent))
        return int(hit.sum())


def _write_down(context: Context, done: Forgotten) -> None:
    told = [f"{count:,} rows of {table}" for table, count in done.rows.items() if count]
    told += [f"{done.staged:,} staged rows"] if done.staged else []
    told += [f"{done.references:,} rows of references"] if done.references else []
    told += [f"{done.past_files:,} files of past states"] if done.past_files else []
    reasons = [f"{done.by} had the rows of a key removed: {', '.join(told) or 'there were none'}"]
    reasons += [f"turn {turn_id} can't be reproduced any more" for turn_id in done.ended]
    context.ledger.decisions.record(
        f"{done.model}/forget/{done.request[:16]}/{done.at:%Y%m%dT%H%M%S%f}",
        model=done.model,
        kind="forget",
        verdict="removed" if done.found_any else "nothing found",
        until=done.at,
        reasons=reasons,
        record=done.model_dump(mode="json"),
    )
