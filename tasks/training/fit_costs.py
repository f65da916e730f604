"""How much the rivals of the leading procedure may cost, where a table has many columns. Pure.

With few features, each fit of a rival is worth its time. With a thousand, one fit of gradient boosting on 100,000 rows
takes a minute or two, so that the rivals would take most of a turn.
"""

from dataclasses import dataclass, field

FEW_FEATURES = 50
"""With at most as many features, costs limit nothing."""
MOST_VALUES = 60_000_000
"""On at most as many values the rivals' models of a turn are fitted: rows times features beyond `FEW_FEATURES`."""
_FEWEST_ROWS = 10_000
"""A model of fewer rows takes as long, since most of its time is for the features."""


@dataclass
class FitBudget:
    """Limit of the cost of the rivals' models in a turn.

    Attributes:
        features: Number of features.
        spent: Values that rivals were fitted on.
        never: Rivals that were not fitted at all, in words.
        again: Number of further models of rivals that were not fitted.
    """

    features: int
    spent: int = 0
    never: list[str] = field(default_factory=list)
    again: int = 0

    def allows(self, rival: str, rows: int, members: int = 1, *, is_first: bool) -> bool:
        """Return whether a rival may be fitted, and note it.

        Args:
            rival: The rival, in words.
            rows: Number of rows that it would be fitted on.
            members: Number of models that are fitted for it.
            is_first: Whether it has no model yet.
        """
        cost = max(rows, _FEWEST_ROWS) * max(0, self.features - FEW_FEATURES) * members
        if self.spent + cost <= MOST_VALUES:
            self.spent += cost
            return True
        if not is_first:
            self.again += 1
        elif rival not in self.never:
            self.never.append(rival)
        return False

    def __str__(self) -> str:
        left_out = [", ".join(self.never)] if self.never else []
        left_out += [f"{self.again} later fit{'s' * (self.again != 1)} of rivals"] if self.again else []
        if not left_out:
            return ""
        return f"without {' and '.join(left_out)}, because a fit on {self.features:,} features takes long"
