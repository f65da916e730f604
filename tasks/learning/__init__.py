"""From a snapshot to a model: candidates, folds, search, fit, and the same again."""
