"""Batch scoring, label collection, the labelling queue, and the trace of a prediction."""
