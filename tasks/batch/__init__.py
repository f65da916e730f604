"""Batch scoring, labels from a source or a file, and the trace of a prediction."""
