"""Candidates, validation folds, search, and the final fit."""
