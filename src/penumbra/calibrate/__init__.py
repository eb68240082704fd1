"""calibrate@METHOD: score of the initial detector -> probability of OOD."""
