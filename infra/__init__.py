"""What runs beside the flows: the prediction service, and files for containers and dashboards."""
