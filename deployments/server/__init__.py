"""A team's Prefect server: what is checked, set up and run on it."""
