"""Faster equivalents of scikit-learn's predict; the only readers of its private attributes."""
