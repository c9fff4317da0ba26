"""How far an EF may be off: sampled masks, EF distributions, calibration, out-of-distribution checks."""
