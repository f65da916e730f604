"""Rehearsal: a model's history lived through again, and what each policy of retraining would have brought."""
