"""The state of each model in one line, and the pages on which people look: one per model, one for all."""
