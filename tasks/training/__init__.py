"""Search candidates' settings on validation folds, and fit the best candidate."""
