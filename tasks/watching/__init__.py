"""What monitoring looks at: the reference, the live rows, data quality, drift, and quality realised and estimated."""
