"""One module per monitoring signal: data, drift, quality, estimate, service health."""
