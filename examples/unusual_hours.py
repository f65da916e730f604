"""Report the hours of a file's newest week in which too few or too many rows came; no model is needed.

python unusual_hours.py orders.csv ordered_at
"""

import sys

import pandas as pd

from everfit.tasks.statistics.hourly import HourlyTally
from everfit.tasks.statistics.volume import check_volume


def unusual_hours(path: str, time: str) -> list[str]:
    """Return one sentence for each stretch of unusual hours."""
    rows = pd.read_csv(path, usecols=[time], parse_dates=[time])
    tally = HourlyTally().add([rows], time)
    newest = max(tally.rows)  # the last hour may not be over
    volume = tally.volume(newest)
    if volume is None:
        return []
    check = check_volume(volume, newest - 7 * 24, newest)
    if not check.learnt:
        return ["fewer than three weeks came before"]
    return [hours.summary for hours in check.unusual]


if __name__ == "__main__":
    for sentence in unusual_hours(*sys.argv[1:3]):
        print(sentence)
