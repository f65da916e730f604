"""Migrations of the ledger, run by `Ledger.open` when the schema is older than the code."""
