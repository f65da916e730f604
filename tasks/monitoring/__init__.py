"""Look at a window of predictions: the deployed model, its reference, and its history."""
