"""Pure numbers: metrics, intervals, paired tests, divergence, profiles, business value."""
