"""The prediction service: serves champions, follows the registry, and logs every answer."""
