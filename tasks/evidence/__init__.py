"""What a model is like: how good, where not, for whom not, why it answers as it does, and whether it serves."""
