"""The prediction service: serve champions, watch the registry, and log every prediction."""

from everfit.infra.serving.server import ServingError, run

__all__ = ["ServingError", "run"]
