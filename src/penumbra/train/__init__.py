"""train@DETECTOR: outlier-exposure training."""
