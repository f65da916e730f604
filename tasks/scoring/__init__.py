"""Apply a fitted model to rows, in batches and one row at a time."""
