"""The prediction log, labels, and the labelling queue."""
