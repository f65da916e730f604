"""The parts that run beside the flows: the prediction service, and files for containers and dashboards."""
