"""Turn source rows into a checked dataset: ingest, validate, commit, quarantine, split."""
