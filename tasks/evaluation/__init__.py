"""Everything measured of a challenger: quality, slices, fairness, calibration, explanations."""
