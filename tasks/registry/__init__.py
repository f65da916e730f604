"""MLflow: runs, registered versions, aliases, links."""
