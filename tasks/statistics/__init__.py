"""Compute pure numbers: metrics, intervals, paired tests, divergence, profiles and business value."""
