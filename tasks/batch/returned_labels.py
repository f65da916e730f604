"""The labels that people return for queued rows: compared with each other and with the record, and recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.batch.label_answers import Opinion, PersonAnswer, keep_answers, read_opinions
from everfit.tasks.batch.label_queue import LabelQueue, QueuedRow, read_queues
from everfit.tasks.batch.label_requests import REVIEWED
from everfit.tasks.core.records import Record
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.label_files import GivenLabel
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.statistics.columns import label
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.storage.values import LARGEST
from everfit.tasks.turns.context import Context

Queued = Mapping[str, tuple[LabelQueue, QueuedRow]]


class LabelConflict(Record):
    """A row with contradicting labels: among people, or between a person and the recorded label."""

    prediction_id: str
    given: tuple[str, ...]
    by: tuple[str, ...] = Field(
        default=(), description="The person who gave each label; empty if one answer is enough."
    )
    known: str | None = Field(default=None, description="The recorded label and its origin.")


class ReturnedLabels(Record):
    """The result of recording a file that people filled in."""

    recorded: RecordedLabels
    empty: int = Field(description="Rows without a label.")
    confirmed: int = Field(default=0, description="Rows whose label was to be checked, and is right.")
    replaced: int = Field(default=0, description="Rows whose label was to be checked, and was wrong.")
    waiting: int = Field(default=0, description="Rows of all queues that wait for another person to label them.")
    conflicts: tuple[LabelConflict, ...] = Field(description="Rows that were not recorded.")


@dataclass(frozen=True)
class _Settled:
    """A label that counts, and the one that is on record."""

    queue: LabelQueue
    row: QueuedRow
    text: str
    known: Mapping[str, object] | None

    @property
    def is_review(self) -> bool:
        return self.row.reason in REVIEWED

    def differs(self, task: str) -> bool:
        """Whether another label is on record."""
        return self.known is not None and not _same(self.known[labels.LABEL], self.text, task)

    @property
    def origin(self) -> str:
        prefix = labels.REPLACED_ORIGIN if self.is_review else labels.QUEUE_ORIGIN
        return f"{prefix}{self.queue.id}"


def record_returned(context: Context, returned: Sequence[GivenLabel], now: datetime, *, by: str = "") -> ReturnedLabels:
    """Record the labels that people gave to queued rows.

    A row with contradicting labels is returned as a conflict and not recorded, unless its label was to be checked: then
    the answer replaces the recorded label.

    Args:
        context: The model.
        returned: The label of each row.
        now: When these labels became known.
        by: The person who labelled the rows that name nobody.

    Raises:
        DataError: A row is in no queue, or a label is unknown to the model; nothing is recorded then.
    """
    spec = context.spec
    people = spec.monitoring.label_queue.people
    queued: Queued = {row.prediction_id: (queue, row) for queue in read_queues(context) for row in queue.rows}
    if unknown := [one.prediction_id for one in returned if one.prediction_id not in queued]:
        raise DataError(
            f"prediction {unknown[0]!r} is in no queue of {spec.name!r}; give the file that `everfit label-queue` wrote"
        )
    given: dict[str, list[tuple[str, str]]] = {one.prediction_id: [] for one in returned}
    for one in returned:
        if one.label is not None:
            text = _checked(one.label, queued[one.prediction_id][0].classes, one.prediction_id)
            given[one.prediction_id].append(((one.by or by).strip(), text))
    empty = sum(not answers for answers in given.values())
    if people == 1:
        texts = {name: tuple(dict.fromkeys(text for _, text in answers)) for name, answers in given.items()}
        conflicts = [LabelConflict(prediction_id=name, given=some) for name, some in texts.items() if len(some) > 1]
        agreed = {name: some[0] for name, some in texts.items() if len(some) == 1}
        return _record(context, queued, agreed, now, empty=empty, conflicts=conflicts)
    opinions, conflicts = _opinions(context, queued, given, now)
    settled = {name: opinions[name].agreed(people) for name in given if name in opinions}
    agreed = {name: label_ for name, label_ in settled.items() if label_ is not None}
    pending = _without_label(context, queued, opinions, now)
    # A file may differ from a label that is on record: its sender hears of it once.
    shown = {name: opinion for name, opinion in opinions.items() if name in pending or given.get(name)}
    conflicts += _open_conflicts(queued, shown, people, {one.prediction_id for one in conflicts})
    return _record(context, queued, agreed, now, empty=empty, conflicts=conflicts).model_copy(
        update={"waiting": _waiting(pending, people)}
    )


def open_conflicts(context: Context, until: datetime) -> ReturnedLabels:
    """Return the queued rows on which people differ, and the number of those that wait for another person.

    A row that has got its label from elsewhere is neither, unless that label is to be checked.

    Args:
        context: The model.
        until: Labels that are known later are taken no notice of.
    """
    people = context.spec.monitoring.label_queue.people
    queued: Queued = {row.prediction_id: (queue, row) for queue in read_queues(context) for row in queue.rows}
    opinions = read_opinions(context.workspace, context.spec.name) if people > 1 else {}
    opinions = _without_label(context, queued, opinions, until)
    return ReturnedLabels(
        recorded=RecordedLabels(),
        empty=0,
        waiting=_waiting(opinions, people),
        conflicts=tuple(_open_conflicts(queued, opinions, people, set())),
    )


def _opinions(
    context: Context, queued: Queued, given: Mapping[str, Sequence[tuple[str, str]]], now: datetime
) -> tuple[dict[str, Opinion], list[LabelConflict]]:
    """Keep the answers of a file, and return what all people say now, and where one person says two things."""
    conflicts, answers = [], []
    for name, some in given.items():
        if any(not person for person, _ in some):
            raise DataError(
                f"prediction {name!r} was labelled by nobody by name, and several people must agree "
                "(monitoring.label_queue.people); say who labelled the file by --by NAME"
            )
        said: dict[str, set[str]] = {}
        for person, text in some:
            said.setdefault(person.casefold(), set()).add(text)
        if twice := [person for person, texts in said.items() if len(texts) > 1]:
            texts = tuple(sorted(said[twice[0]]))
            conflicts.append(LabelConflict(prediction_id=name, given=texts, by=(twice[0],) * len(texts)))
            continue
        key = queued[name][1].key
        answers += [
            PersonAnswer(prediction_id=name, key=key, by=person, label=next(iter(texts)))
            for person, texts in said.items()
        ]
    keep_answers(context.workspace, context.spec.name, answers, now)
    return read_opinions(context.workspace, context.spec.name), conflicts


def _without_label(
    context: Context, queued: Queued, opinions: Mapping[str, Opinion], until: datetime
) -> dict[str, Opinion]:
    """Return the opinions of rows that have no label on record, or one that is to be checked."""
    wanted = {name: queued[name][1] for name in opinions if name in queued}
    table, keys = context.workspace.table(context.spec.name, "labels"), [row.key for row in wanted.values()]
    known = set(labels.known_at(table, until, pd.Series(keys, dtype="int64"))[KEY]) if keys else set()
    return {name: opinions[name] for name, row in wanted.items() if row.reason in REVIEWED or row.key not in known}


def _open_conflicts(
    queued: Queued, opinions: Mapping[str, Opinion], people: int, shown: set[str]
) -> list[LabelConflict]:
    return [
        LabelConflict(prediction_id=name, given=tuple(opinion.by.values()), by=tuple(opinion.by))
        for name, opinion in opinions.items()
        if name in queued and name not in shown and opinion.differs and opinion.agreed(people) is None
    ]


def _waiting(opinions: Mapping[str, Opinion], people: int) -> int:
    return sum(not opinion.differs and opinion.agreed(people) is None for opinion in opinions.values())


def _record(
    context: Context,
    queued: Queued,
    agreed: Mapping[str, str],
    now: datetime,
    *,
    empty: int,
    conflicts: Sequence[LabelConflict],
) -> ReturnedLabels:
    spec = context.spec
    table = context.workspace.table(spec.name, "labels")
    names = list(dict.fromkeys([*agreed, *(one.prediction_id for one in conflicts)]))
    keys = pd.Series([queued[name][1].key for name in names], dtype="int64")
    rows_known = labels.known_at(table, now, keys).to_dict("records")
    known: dict[int, Mapping[str, object]] = {
        int(row[KEY]): {str(name): value for name, value in row.items()} for row in rows_known
    }
    shown = [
        one.model_copy(update={"known": _recorded(known.get(queued[one.prediction_id][1].key))}) for one in conflicts
    ]
    taken: list[_Settled] = []
    for name, text in agreed.items():
        queue, row = queued[name]
        settled = _Settled(queue, row, text, known.get(row.key))
        if settled.differs(spec.task) and not settled.is_review:
            shown.append(LabelConflict(prediction_id=name, given=(text,), known=_recorded(settled.known)))
        else:
            taken.append(settled)
    reviewed = [one for one in taken if one.is_review and one.known is not None]
    wrong = sum(one.differs(spec.task) for one in reviewed)
    # A label that was checked and is right stays as it is on record.
    new = [one for one in taken if one.known is None or not one.is_review or one.differs(spec.task)]
    recorded, deleted = RecordedLabels(), read_deleted_keys(context.workspace, spec.name)
    for origin in dict.fromkeys(one.origin for one in new):
        rows = _label_rows([one for one in new if one.origin == origin], spec.task, origin, now)
        recorded += label_recording.record_labels(table, rows, deleted)
    return ReturnedLabels(
        recorded=recorded, empty=empty, confirmed=len(reviewed) - wrong, replaced=wrong, conflicts=tuple(shown)
    )


def _recorded(known: Mapping[str, object] | None) -> str | None:
    return None if known is None else f"{label(known[labels.LABEL])} ({known[labels.ORIGIN]})"


def _same(known: object, text: str, task: str) -> bool:
    return float(str(known)) == float(text) if task == "regression" else str(known) == text


def _checked(given: str, classes: Sequence[str], prediction: str) -> str:
    text = given.strip()
    if not classes:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not abs(number) <= LARGEST:
            raise DataError(
                f"the label of prediction {prediction!r} is {given!r}; it must be a finite number of at most "
                f"{LARGEST:.1e}"
            )
        return repr(number)
    if text in classes:
        return text
    try:
        whole = label(float(text))  # spreadsheets write 1 as 1.0
    except ValueError:
        whole = text
    if whole not in classes:
        raise DataError(f"the label of prediction {prediction!r} is {given!r}; it must be one of {', '.join(classes)}")
    return whole


def _label_rows(own: Sequence[_Settled], task: TaskKind, origin: str, now: datetime) -> pd.DataFrame:
    texts = pd.Series([one.text for one in own])
    return labels.label_rows(
        [one.row.key for one in own],
        texts.astype("float64") if task == "regression" else texts,
        pd.Series([pd.Timestamp(now)] * len(own)),
        task,
        origin,
        inclusion=pd.Series([one.row.inclusion for one in own]),
    )
