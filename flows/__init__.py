"""The flows: each reads top to bottom as the loop does."""
