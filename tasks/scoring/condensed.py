"""A model version condensed to the numbers and texts by which it answers.

A service that reads these in place of the model needs no scikit-learn, so it starts in half the time and holds half
the memory. They are made from a checked copy of the version's files and name it, so they are never taken for those of
another one.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.released_format import read_converted
from everfit.tasks.scoring.fast_path.answering import WithoutPipeline, restored
from everfit.tasks.scoring.fast_path.stored import NotStorableError, Stored, restored_classes, stored_classes
from everfit.tasks.scoring.scorer import Scorer, read_scorer

_KIND = "condensed"
_FORMAT = 1
"""To be raised whenever what a fast path is made from changes."""
_MADE_BY = ("everfit", "scikit-learn", "numpy")
_PIPELINE = "pipeline"
"""Kind of a part without numbers: the version answers by its pipeline alone."""


def condense(
    folder: Path,
    version: ModelVersion,
    name: str,
    examples: Callable[[InputSchema], Sequence[Mapping[str, list[Any]]]],
) -> bytes:
    """Return what a version answers by; that it needs its pipeline is said too, so that nobody tries again.

    Args:
        folder: Checked copy of the version's files.
        version: The version.
        name: Name of exactly these files, such as a digest.
        examples: Function that returns checked columns of the inputs, on which both must answer alike.
    """
    words: dict[str, Any] = {"of": name, "by": _made_by()}
    if read_converted(folder) is not None:
        return Stored(_KIND, words, parts=(Stored(_PIPELINE),)).to_bytes()
    scorer = read_scorer(folder, version)
    try:
        own = scorer.answering.stored()
        words["classes"] = stored_classes(getattr(scorer.estimator, "classes_", None))
    except NotStorableError:
        own = Stored(_PIPELINE)
    content = Stored(_KIND, words, parts=(own,)).to_bytes()
    if own.kind != _PIPELINE and not _agree(scorer, read_condensed(content, name), examples(scorer.inputs)):
        return Stored(_KIND, words, parts=(Stored(_PIPELINE),)).to_bytes()
    return content


def read_condensed(content: bytes, name: str) -> WithoutPipeline | None:
    """Return what answers in place of the pipeline; None if the version needs it.

    Args:
        content: As `condense` has written it.
        name: Name of the files that it must have been made from.

    Raises:
        ValueError: It is damaged, made from other files, or by other libraries.
    """
    try:
        stored = Stored.of_bytes(content)
        words = stored.words
        if (stored.kind, words["of"], words["by"]) != (_KIND, name, _made_by()):
            raise ValueError("it was made from other files, or by other libraries")
        if stored.parts[0].kind == _PIPELINE:
            return None
        return WithoutPipeline(restored(stored.parts[0]), restored_classes(words["classes"]))
    except (BadZipFile, EOFError, OSError, KeyError, IndexError, TypeError, ImportError, NotStorableError) as error:
        raise ValueError(f"it can't be read: {type(error).__name__}: {error}") from error


def _made_by() -> list[Any]:
    return [_FORMAT, *(installed_version(name) for name in _MADE_BY)]


def _agree(scorer: Scorer, condensed: WithoutPipeline | None, examples: Sequence[Mapping[str, list[Any]]]) -> bool:
    if condensed is None:
        return False
    for columns in examples:
        left, right = scorer.score_columns(columns), condensed.answering.scores(columns)
        pairs = [(left.values, right.values), (left.score, right.score), (left.probabilities, right.probabilities)]
        if not all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs):
            return False
    return True
