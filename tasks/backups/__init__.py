"""Backups of all that a model has, and their restoring into other places."""
