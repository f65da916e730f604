"""A monitoring signal of your own: how many deliveries go to one region.

In the spec:

    monitoring:
      signals: [{function: "own_signal:largest_region", at_most: 0.5, action: escalate}]

The function reads a frozen `everfit.tasks.WindowEvidence` and returns a number, True or False, or a `SignalResult`. It
may raise `NotEnoughError` if it needs more rows. If it raises anything else, the signal has failed and a person is
notified.
"""

from everfit.blocks.errors import NotEnoughError


def largest_region(evidence):
    """Return the share of the most frequent region among the predictions."""
    shares = evidence.predictions["region"].value_counts(normalize=True)
    if shares.empty:
        raise NotEnoughError("nothing was predicted")
    return shares.iloc[0]
