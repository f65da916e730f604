"""From a source to the dataset: read, normalise, match, check, accept; what is not good is kept aside."""
