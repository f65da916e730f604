"""Check the prediction log: each prediction is there once, and a known version made it."""

from collections.abc import Collection

from everfit.tasks.predictions.prediction_log import ARM, MODEL_VERSION, PREDICTION_ID
from everfit.tasks.storage.tables import Table


def check_log(table: Table, versions: Collection[int]) -> list[str]:
    """Return what doesn't fit in the prediction log, one sentence each.

    Args:
        table: The model's prediction log.
        versions: The versions that the registry or the ledger knows.
    """
    import pyarrow.compute as pc

    if not table.exists():
        return []
    rows = table.dataset().to_table(columns=[PREDICTION_ID, ARM, MODEL_VERSION])
    unknown = sorted({*map(int, pc.unique(rows[MODEL_VERSION]).drop_null().to_pylist())} - {*versions})
    problems = [
        f"the prediction log has predictions of version {version}, which neither the registry nor the ledger knows"
        for version in unknown
    ]
    counts = rows.group_by([PREDICTION_ID, ARM]).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        first = twice[PREDICTION_ID][0].as_py()
        problems.append(f"{twice.num_rows:,} predictions are in the prediction log more than once, such as {first!r}")
    return problems
