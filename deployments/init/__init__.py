"""`everfit init`: from a look at the data to a commented model spec."""
