"""calibrate@DETECTOR: score of a detector that judges -> probability of OOD."""
