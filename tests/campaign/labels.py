"""Kill processes that take labels and record them, and copy, restore and cut their folders meanwhile.

The invariants: each label that was answered is in the table, no list of a key's labels is longer than what was sent,
and the newest label of each key is the one that was answered last. The table's files are read directly.
"""

import random
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from deltalake import DeltaTable

from campaign.spools import kill_soon, last_step, run_lives
from campaign.tally import Tally
from everfit.infra.serving.label_journal import LabelJournal
from everfit.tasks.predictions.label_recording import record_labels
from everfit.tasks.predictions.labels import label_rows
from everfit.tasks.storage.tables import Table

_LIFE_SECONDS = 300.0
_START = pd.Timestamp("2024-01-01", tz="UTC")
_KEYS = 12


def run_labels(folder: Path, seed: int, lives: int) -> Tally:
    """Run a number of lives, each with a kill and a fault of the folder, and compare the table with the answers.

    Args:
        folder: Empty folder.
        seed: Decides on everything but the moment at which the system delivers a kill.
        lives: Number of processes.
    """
    table = folder / "table"
    folders, answered, tally = run_lives(_live, table, folder, seed, lives, _LIFE_SECONDS)
    for place in folders:
        journal = _journal(place, table)
        for _ in range(3):
            journal.drain.drain()
        journal.spool.close()
        if journal.drain.state.error:
            tally.broken.append(f"seed {seed}: {place.name} can't be drained: {journal.drain.state.error}")
    _compare(table, answered.read_text().splitlines(), seed, tally)
    return tally


def _journal(place: Path, table: Path) -> LabelJournal:
    return LabelJournal(place, Table(str(table)), sync=False, every_s=1.0, most_days=50)


def _live(place: Path, table: Path, answered: Path, life: int, chance_of: float) -> None:
    """Take labels, correct and repeat them, and record them, until a kill at a random moment."""
    chance = random.Random(chance_of)
    journal = _journal(place, table)
    last = last_step(chance, 30)
    # The labels of a life have keys of their own, so their order is known; those of key 0 come from all lives.
    with answered.open("a", buffering=1) as answers:
        for number in range(30):
            if number == last:
                kill_soon(chance)
            if chance.random() < 0.25:
                journal.drain.drain()
            chosen = chance.sample(range(_KEYS), chance.randint(1, 4))
            keys, label, day = [life * 1_000 + key for key in chosen], str(chance.randint(0, 1)), chance.randint(0, 2)
            at = pd.Series([_START + pd.Timedelta(days=day)] * len(keys))
            rows = label_rows(keys, pd.Series([label] * len(keys)), at, "binary", f"client {number}")
            if chance.random() < 0.1:
                record_labels(Table(str(table)), label_rows([-life - 1], pd.Series(["1"]), at[:1], "binary", "command"))
            journal.keep([rows])
            answers.write("".join(f"{key} {day} {label}\n" for key in keys))  # now the client has its answer
    if chance.random() < 0.5:
        journal.drain.drain()
    journal.spool.close()


def _compare(table: Path, answered: list[str], seed: int, tally: Tally) -> None:
    sent: dict[tuple[int, int], list[str]] = defaultdict(list)
    for key, day, label in (line.split() for line in answered):
        labels = sent[int(key), int(day)]
        if not labels or labels[-1] != label:  # a repeated one is not recorded
            labels.append(label)
    files = DeltaTable(str(table)).file_uris() if answered else []
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    there: dict[tuple[int, int], list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: int(row["_revision"])):
        there[row["_key"], (row["_label_time"] - _START.to_pydatetime()).days].append(row["_label"])
    tally.done["answered labels"] += len(answered)
    for (key, day), labels in sent.items():
        found = there[key, day]
        # A process may have died after it had kept a label, and before it answered; that label is the last one.
        if found[: len(labels)] != labels or len(found) > len(labels) + 1:
            tally.broken.append(f"seed {seed}: key {key} was told {labels} for day {day}, and the table has {found}")
