"""Keep the prediction log and its labels, and sample rows for labelling."""
