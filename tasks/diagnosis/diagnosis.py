"""The diagnosis of a loss: its cause, its worst slices, its columns, and the values behind it. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.loss_diagnosis import Diagnosis
from everfit.tasks.diagnosis.column_shares import column_shares
from everfit.tasks.diagnosis.encoding import encode
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence
from everfit.tasks.diagnosis.loss_split import split_loss
from everfit.tasks.diagnosis.remedies import doubted_share, find_remedies
from everfit.tasks.diagnosis.shared_rows import shared_rows
from everfit.tasks.diagnosis.slices import worst_slices
from everfit.tasks.diagnosis.unseen_values import unseen_values


class Diagnosed(NamedTuple):
    """A diagnosis, and the rows that are not kept with it.

    Attributes:
        diagnosis: The diagnosis.
        suspects: The window's rows whose label is likely wrong, as the evidence has them.
        contradicting: The window's rows with the values of another row and another label, if they are many more now.
    """

    diagnosis: Diagnosis
    suspects: pd.DataFrame
    contradicting: pd.DataFrame


def diagnose(
    evidence: DiagnosisEvidence, task: TaskKind = "regression", *, left_out: Sequence[str] = (), seed: int = 0
) -> Diagnosed:
    """Diagnose the change of the loss from the hold-out to a window. The same evidence gives the same diagnosis.

    Args:
        evidence: Both sides.
        task: The kind of prediction.
        left_out: Columns that are not in the evidence, and why; one sentence each.
        seed: The seed of folds, halves and trees.
    """
    encoded = encode(evidence.reference.rows, evidence.window.rows, evidence.columns, evidence.texts)
    split = split_loss(evidence, shared_rows(evidence, encoded, seed))
    slices = worst_slices(evidence, encoded, seed) if split.certain else []
    remedies = find_remedies(evidence, encoded, slices, task, seed) if split.certain else None
    diagnosis = Diagnosis(
        row_loss=evidence.row_loss,
        split=split,
        slices=tuple(slice_ for slice_, _ in slices),
        columns=column_shares(evidence, encoded, seed)[:10],
        values=unseen_values(evidence, encoded),
        left_out=(
            *left_out,
            *(f"{name} has values that no tree can split, such as dates" for name in encoded.unusable),
        ),
        remedies=() if remedies is None else remedies.sentences,
        doubted_share=0.0 if remedies is None else doubted_share(evidence, remedies.suspects),
        columns_spent=remedies is not None and remedies.spent,
        reference_rows=evidence.reference_rows,
        window_rows=evidence.window_rows,
        sampled=max(len(evidence.reference), len(evidence.window)),
    )
    rows, none = evidence.window.rows, np.zeros(len(evidence.window), dtype=np.bool_)
    suspects, contradicting = (none, none) if remedies is None else (remedies.suspects, remedies.contradicting)
    return Diagnosed(diagnosis, rows[suspects], rows[contradicting])
