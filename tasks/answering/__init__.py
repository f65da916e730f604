"""Predictions: how rows are answered, the log of the answers, and the labels that come true of them."""
