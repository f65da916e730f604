"""The answers of each person about queued rows, where several people must agree before a label counts.

Each file that a person hands in is kept as one file of the workspace. The last answer of a person counts.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record
from everfit.tasks.storage.workspace import Workspace

_FOLDER = "queue-answers"


class PersonAnswer(Record):
    """The label that a person gave to a queued row."""

    prediction_id: str
    key: int = Field(description="Hash of the row's key.")
    by: str
    label: str


class HandedIn(Record):
    """The answers of one file."""

    at: AwareDatetime
    answers: tuple[PersonAnswer, ...]


@dataclass(frozen=True)
class Opinion:
    """The labels of one row, by person.

    Attributes:
        by: The label of each person.
    """

    by: Mapping[str, str]

    def agreed(self, people: int) -> str | None:
        """Return the label that at least a number of people gave, if no other label has as many; None without one."""
        counts = Counter(self.by.values()).most_common(2)
        if not counts or counts[0][1] < people or (len(counts) > 1 and counts[1][1] == counts[0][1]):
            return None
        return counts[0][0]

    @property
    def differs(self) -> bool:
        """Whether people gave different labels."""
        return len(set(self.by.values())) > 1


def keep_answers(workspace: Workspace, model: str, answers: Sequence[PersonAnswer], at: datetime) -> None:
    """Keep the answers of one file; the same answers at the same moment are kept once.

    Args:
        workspace: The workspace.
        model: Name of the model.
        answers: The answers.
        at: When they were handed in.
    """
    if not answers:
        return
    given = HandedIn(at=at, answers=tuple(answers))
    digest = hashlib.sha256(given.canonical_json().encode()).hexdigest()[:12]
    workspace.write(workspace.file(model, _FOLDER, f"{at:%Y%m%dT%H%M%S%f}-{digest}.json"), _content(given))


def read_opinions(workspace: Workspace, model: str) -> dict[str, Opinion]:
    """Return what people say of each queued row, by its prediction.

    Args:
        workspace: The workspace.
        model: Name of the model.
    """
    said: dict[str, dict[str, str]] = {}
    for _, given in _files(workspace, model):
        for answer in given.answers:
            said.setdefault(answer.prediction_id, {})[answer.by] = answer.label
    return {name: Opinion(by) for name, by in said.items()}


def forget_answers(workspace: Workspace, model: str, keys: Collection[int]) -> int:
    """Delete what people said of the rows of some keys, and return the number of answers.

    Args:
        workspace: The workspace.
        model: Name of the model.
        keys: Hashes of the keys.
    """
    gone = 0
    for path, given in _files(workspace, model):
        left = tuple(answer for answer in given.answers if answer.key not in keys)
        if len(left) < len(given.answers):
            workspace.write(path, _content(given.model_copy(update={"answers": left})))
            gone += len(given.answers) - len(left)
    return gone


def _content(given: HandedIn) -> bytes:
    return given.canonical_json().encode()


def _files(workspace: Workspace, model: str) -> list[tuple[str, HandedIn]]:
    """Return the files in the order in which they were handed in."""
    folder = workspace.file(model, _FOLDER)
    if not workspace.exists(folder):
        return []
    names = sorted(str(path).rsplit("/", 1)[-1] for path in workspace.filesystem.ls(folder, detail=False))
    paths = [f"{folder}/{name}" for name in names if name.endswith(".json")]
    return [(path, HandedIn.recall(json.loads(workspace.read(path)))) for path in paths]
