"""A metric of your own: the profit per delivery, if late ones are called off in advance.

In the spec:

    training:
      metric: own_metric:profit

everfit chooses candidates by it, compares champion and challenger in it, and monitors it while the model is live.
Greater is better, and any finite number is allowed. For a loss write `profit.greater_is_better = False`;
`profit.lowest` and `profit.highest` set a range. With a parameter `sample_weight` the rows can have weights.
"""


def profit(y, scores):
    """Return EUR per row: 5 for each late delivery that is called off, less 2 for each one in vain."""
    called_off = scores >= 0.5
    return (5 * (called_off & (y == 1)).sum() - 2 * (called_off & (y == 0)).sum()) / len(y)
