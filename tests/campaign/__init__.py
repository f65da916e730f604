"""Faults and attacks from a seed, and the invariants that they must not break: `make campaign`."""
