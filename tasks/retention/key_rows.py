"""Find the rows of a key in tables and staged files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pandas as pd

from everfit.blocks.errors import DataError, SpecError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch.label_keys import keys_in_other_types
from everfit.tasks.data.deduplication import DUPLICATE, MatchedRows
from everfit.tasks.data.quarantine import ROW
from everfit.tasks.data.staging import PART, Staging, slices
from everfit.tasks.retention import table_upkeep
from everfit.tasks.storage.kinds import Kind
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN, Table
from everfit.tasks.storage.values import FAULTS, normalise
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


def read_key(spec: ModelSpec, given: Sequence[str]) -> dict[str, str]:
    """Return the key, or the part of it, that was written as `COLUMN=VALUE`.

    Raises:
        SpecError: The model has no key, or a given column is not part of it.
    """
    key = spec.columns.key
    if not key:
        raise SpecError(f"{spec.name}: the model has no key to find rows by; set columns.key in its spec")
    if len(given) == 1 and len(key) == 1 and "=" not in given[0]:
        return {key[0]: given[0]}
    parts = dict(_split(text, key) for text in given)
    if wrong := [name for name in parts if name not in key]:
        raise SpecError(f"{wrong[0]!r} is not a column of the key, which is {', '.join(key)}; write --key COLUMN=VALUE")
    if not parts:
        raise SpecError("no key was given; write --key COLUMN=VALUE")
    return parts


def require_readable(spec: ModelSpec, workspace: Workspace, key: Mapping[str, str]) -> None:
    """Require that the values of a key can be read as what the dataset's key is.

    Raises:
        DataError: A value can't be, such as `A7` or `007` where keys are whole numbers.
    """
    kinds = read_kinds(workspace, spec.name)
    brought = normalise(pd.DataFrame([dict(key)]), {name: kinds[name] for name in key if name in kinds})
    if brought[FAULTS].notna().any():
        reason = str(brought[FAULTS].iloc[0]).removesuffix("; ")
        raise DataError(f"{reason}, as the keys of {spec.name} are; write the key as the data does")


def _split(text: str, key: Sequence[str]) -> tuple[str, str]:
    """Return column and value; a column's name may have an equals sign too."""
    for name in key:
        if text.startswith(f"{name}="):
            return name, text.removeprefix(f"{name}=")
    name, _, value = text.partition("=")
    return name, value


@dataclass(frozen=True)
class KeysFound:
    """The keys that contain the wanted values.

    Attributes:
        keys: Hashes of these whole keys, in each type that a row or a label may have them.
        values: Hashes of the wanted values, in each type.
    """

    keys: tuple[int, ...]
    values: tuple[int, ...]


def keys_of(spec: ModelSpec, workspace: Workspace, wanted: Mapping[str, str]) -> KeysFound:
    """Return all keys that contain the wanted values, in all tables and staged files."""
    tables = [workspace.table(spec.name, name) for name in ("dataset", "quarantine", "predictions")]
    kinds = read_kinds(workspace, spec.name)
    values = _in_all_types(pd.DataFrame([dict(wanted)]), kinds)
    hashes = set(values) if set(wanted) == set(spec.columns.key) else set()
    for table in tables:
        if not table.exists():
            continue
        columns = [ROW] if table is tables[1] else list(spec.columns.key)
        for rows in _present_and_past(workspace, table, columns):
            hashes |= _matching(rows, wanted, kinds, spec.columns.key)
    for staging, parts in staged_parts(workspace, spec.name):
        for number in range(parts):
            names = [name for name in (KEY, *spec.columns.key) if name in staging.columns_of(number)]
            hashes |= _matching(staging.read_part(number, names), wanted, kinds, spec.columns.key)
    return KeysFound(tuple(sorted(hashes)), tuple(sorted(values)))


def _in_all_types(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> set[int]:
    """Return the hashes of key values in each type: labels may be older than the dataset, and then have another one."""
    columns = list(frame.columns)
    hashes: set[int] = set()
    for types in (kinds, {}):
        typed = normalise(frame.reset_index(drop=True), {name: types.get(name, "text") for name in columns})
        for keys in keys_in_other_types(typed.drop(columns=FAULTS), columns):  # the given types are the first
            hashes.update(keys.tolist())
    return hashes - {0}


def _present_and_past(workspace: Workspace, table: Table, columns: Sequence[str]) -> "Iterator[pa.Table]":
    import pyarrow as pa

    existing = table.columns()
    names = [KEY, *(name for name in columns if name in existing)]
    for batch in table.arrow_batches(names):
        yield pa.Table.from_batches([batch])
    yield from table_upkeep.past_keys(workspace, table, columns)


def _matching(rows: "pa.Table", wanted: Mapping[str, str], kinds: Mapping[str, Kind], key: Sequence[str]) -> set[int]:
    """Return the keys of the rows that have all the wanted values, in each type."""
    if ROW in rows.column_names:
        contents: list[dict[str, Any]] = [orjson.loads(text) for text in rows[ROW].to_pylist()]
        frame = pd.DataFrame({name: [row.get(name) for row in contents] for name in key})
    elif set(wanted) <= set(rows.column_names):
        frame = rows.select([name for name in key if name in rows.column_names]).to_pandas()
    else:
        return set()
    frame = frame.reset_index(drop=True)
    typed = {name: kinds.get(name, "text") for name in wanted}
    values = normalise(pd.DataFrame([dict(wanted)]), typed).iloc[0]
    given = normalise(frame, typed)
    same = np.ones(len(frame), dtype=np.bool_)
    for name in wanted:
        same &= (given[name] == values[name]).fillna(value=False).to_numpy(dtype=np.bool_)
    found = set(rows[KEY].to_numpy()[same].tolist())
    whole = set(key) <= set(frame.columns) and same.any()
    return found | (_in_all_types(frame.loc[same, list(key)].drop_duplicates(), kinds) if whole else set())


def staged_parts(workspace: Workspace, model: str) -> list[tuple[Staging, int]]:
    """Return where turns, and releases from quarantine, still have rows staged, and in how many parts."""
    filesystem, folder = workspace.filesystem, workspace.file(model, "turns")
    parts: dict[tuple[str, int], int] = {}
    for path in map(str, filesystem.find(folder)) if filesystem.exists(folder) else ():
        turn_id, *inside, name = path.rpartition("/turns/")[2].split("/")
        if inside[:1] == ["batch"] and name.endswith(".arrow") and name.count(".") == 1:
            place = (turn_id, int(inside[1]) if inside[1:] else 0)
            parts[place] = max(parts.get(place, 0), int(name.partition(".")[0]) + 1)
    return [(Staging(workspace, model, *place), count) for place, count in sorted(parts.items())]


def blank_staged(staging: Staging, parts: int, keys: Sequence[int]) -> int:
    """Blank the rows of some keys in the staged files of an unfinished turn, so that it doesn't ingest them.

    Returns:
        How many rows were blanked.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    workspace, emptied, hits = staging.workspace, 0, []
    wanted = pa.array(list(keys), pa.int64())
    for number in range(parts):
        table = staging.read_part(number)
        hit = pc.is_in(table[KEY], value_set=wanted)
        hits.append(np.asarray(hit.to_numpy()))
        if not pc.any(hit).as_py():
            continue
        emptied += int(pc.sum(hit).as_py())
        for position, name in enumerate(table.column_names):
            if name in {DAY, TURN, PART, "_source", "_arrived"}:
                continue
            nothing = pa.scalar(0 if name in {KEY, CONTENT} else None, table.schema.field(name).type)
            table = table.set_column(position, table.schema.field(name), pc.if_else(hit, nothing, table[name]))
        staging.write_part(number, table)
    if emptied and workspace.exists(staging.path("matched.npz")):
        matched = staging.read_matched()
        status = matched.status.copy()
        for span, hit in zip(slices(tuple(map(len, hits))), hits, strict=True):
            status[span][hit] = DUPLICATE
        staging.write_matched(MatchedRows(status, matched.old_day, matched.in_quarantine))
    return emptied
