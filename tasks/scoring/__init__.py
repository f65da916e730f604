"""Apply a fitted model to rows, in batches or a few at a time."""
