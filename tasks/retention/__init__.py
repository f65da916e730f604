"""Delete what is too old, compact tables, and forget rows on request."""
