"""Release a version, roll back, and ask for approval."""
