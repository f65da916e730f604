"""The prediction service: serves champions, follows the registry, and logs every answer."""

from everfit.infra.serving.server import ServingError, run

__all__ = ["ServingError", "run"]
