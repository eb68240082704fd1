"""filter@METHOD: calibrated confidence and band of each candidate."""
