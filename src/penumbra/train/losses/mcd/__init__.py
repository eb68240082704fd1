"""Two heads that agree on ID images and not on outliers (maximum classifier discrepancy, Yu and Aizawa 2019)."""
