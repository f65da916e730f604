"""From source rows to a checked dataset: ingest, validate, commit, quarantine, split."""
