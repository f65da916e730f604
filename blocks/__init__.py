"""Configuration and connections: Prefect blocks, the policies nested in them, settings."""
