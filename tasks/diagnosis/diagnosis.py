"""The diagnosis of a loss: its cause, its worst slices, its columns, and the values behind it. Pure."""

from collections.abc import Sequence

from everfit.tasks.core.loss_diagnosis import Diagnosis
from everfit.tasks.diagnosis.column_shares import column_shares
from everfit.tasks.diagnosis.encoding import encode
from everfit.tasks.diagnosis.labelled_rows import MOST_ROWS, DiagnosisEvidence
from everfit.tasks.diagnosis.loss_split import split_loss
from everfit.tasks.diagnosis.shared_rows import shared_rows
from everfit.tasks.diagnosis.slices import worst_slices
from everfit.tasks.diagnosis.unseen_values import unseen_values


def diagnose(
    evidence: DiagnosisEvidence, *, left_out: Sequence[str] = (), remedies: Sequence[str] = (), seed: int = 0
) -> Diagnosis:
    """Diagnose the change of the loss from the hold-out to a window. The same evidence gives the same diagnosis.

    Args:
        evidence: Both sides.
        left_out: Columns that are not in the evidence, and why; one sentence each.
        remedies: What would help, as far as that is known without the diagnosis; one sentence each.
        seed: Of folds, halves and trees.
    """
    encoded = encode(evidence.reference.rows, evidence.window.rows, evidence.columns, evidence.texts)
    split = split_loss(evidence, shared_rows(evidence, encoded, seed))
    return Diagnosis(
        row_loss=evidence.row_loss,
        split=split,
        slices=worst_slices(evidence, encoded, seed),
        columns=column_shares(evidence, encoded, seed)[:10],
        values=unseen_values(evidence, encoded),
        left_out=(
            *left_out,
            *(f"{name} has values that no tree can split, such as dates" for name in encoded.unusable),
        ),
        remedies=tuple(remedies),
        reference_rows=evidence.reference_rows,
        window_rows=evidence.window_rows,
        sampled=MOST_ROWS,
    )
