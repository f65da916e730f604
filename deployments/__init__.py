"""How flows get run: the command, deployments, model specs, the demo."""
