"""Fairness: how differently the groups of a protected column are treated, by fairlearn."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.evaluation.slices import groups
from everfit.tasks.gate.evidence import FairnessEvidence, Measured
from everfit.tasks.statistics.group_gaps import MIN_GROUP_ROWS


class GroupRates(Record):
    """How a model treats one group."""

    column: str
    group: str
    rows: int
    selection_rate: Measured = Field(default=None, description="Share of positive answers.")
    true_positive_rate: Measured = None
    false_positive_rate: Measured = None
    error: Measured = Field(default=None, description="Share of wrong answers; mean absolute error of a regression.")


def group_names(column: pd.Series) -> npt.NDArray[Any]:
    """The group of each row, as text; shape (rows,)."""
    names = np.full(len(column), "", dtype=object)
    for name, chosen in groups(column.reset_index(drop=True)):
        names[chosen] = name
    return names


def fairness_evidence(scored: ScoredRows, columns: tuple[str, ...]) -> tuple[FairnessEvidence, ...]:
    """Measure parity between the groups of each protected column, for the challenger and the champion.

    A multiclass model is measured class against rest, and its widest differences count.

    Returns:
        For each column the demographic parity difference (M. Feldman et al., 2015) and the equalized odds difference
        (M. Hardt, E. Price, N. Srebro, "Equality of Opportunity in Supervised Learning", 2016); no
        number if fewer than two groups have enough rows.
    """
    evidence = []
    for name in columns:
        named = group_names(scored.rows[name])
        sizes = pd.Series(named).value_counts()
        large = np.isin(named, sizes.index[sizes >= MIN_GROUP_ROWS])
        values: dict[str, float | None] = {}
        for role, prefix in (("challenger", ""), ("champion", "champion_")):
            enough = role in scored.scores and len(set(named[large])) > 1
            parity, odds = _differences(scored.subset(large), role, named[large]) if enough else (None, None)
            values[f"{prefix}demographic_parity_difference"] = parity
            values[f"{prefix}equalized_odds_difference"] = odds
        evidence.append(FairnessEvidence.model_validate({"column": name, **values}))
    return tuple(evidence)


def _differences(scored: ScoredRows, role: str, named: npt.NDArray[Any]) -> tuple[float, float | None]:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    answers = scored.predicted_classes(role)
    parity, odds = [], []
    for positive in _positives(scored):
        truth, called = scored.truth == positive, answers == positive
        parity.append(float(demographic_parity_difference(truth, called, sensitive_features=named)))
        # A group without a row of one of the kinds has no such rate; fairlearn would call it 0.
        both = [group for group in set(named) if len(set(truth[named == group])) == 2]
        kept = np.isin(named, both)
        if len(both) > 1:
            odds.append(float(equalized_odds_difference(truth[kept], called[kept], sensitive_features=named[kept])))
    return max(parity), max(odds, default=None)


def _positives(scored: ScoredRows) -> range:
    return range(1, 2) if scored.task == "binary" else range(len(scored.classes))


def group_rates(scored: ScoredRows, columns: tuple[str, ...], role: str = "challenger") -> tuple[GroupRates, ...]:
    """Return the rates of each group, small groups included."""
    of_groups = []
    for name in columns:
        for group, chosen in groups(scored.rows[name].reset_index(drop=True)):
            part = scored.subset(chosen)
            if not len(part.truth):
                continue
            if scored.task == "regression":
                error = float(np.abs(part.scores[role] - part.truth).mean())
                of_groups.append(GroupRates(column=name, group=group, rows=len(part.truth), error=error))
                continue
            wrong = part.predicted_classes(role) != part.truth
            rates = _rates(part, role) if scored.task == "binary" else {}
            of_groups.append(
                GroupRates.model_validate(
                    {"column": name, "group": group, "rows": len(part.truth), "error": float(wrong.mean()), **rates}
                )
            )
    return tuple(of_groups)


def _rates(part: ScoredRows, role: str) -> dict[str, float | None]:
    called, truth = part.predicted_classes(role) == 1, part.truth == 1
    return {
        "selection_rate": float(called.mean()),
        "true_positive_rate": float(called[truth].mean()) if truth.any() else None,
        "false_positive_rate": float(called[~truth].mean()) if (~truth).any() else None,
    }


def measure(measurement: Measurement) -> tuple[FairnessEvidence, ...] | None:
    """Measure how the groups of the protected columns are treated, where the gate asks for it."""
    if measurement.spec.gate.fairness is None or not measurement.has_classes:
        return None
    return fairness_evidence(measurement.scored, measurement.spec.columns.protected)
