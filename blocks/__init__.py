"""Configuration and connections: Prefect blocks, the policies nested in them, settings."""

from everfit.blocks.spec import ModelSpec

__all__ = ["ModelSpec"]
