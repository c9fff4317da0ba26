"""EF uncertainty: sampled masks, EF distributions, calibrated intervals, out-of-distribution checks."""
