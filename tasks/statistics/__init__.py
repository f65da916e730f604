"""The statistics that the decisions stand on: metrics, resampling, paired tests, distances between distributions."""
