"""The steps of the flows as Prefect tasks: each a thin layer over the function that does the work."""
