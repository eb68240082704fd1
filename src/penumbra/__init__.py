"""Penumbra: a reproducible experiment DAG for out-of-distribution detection with synthetic outliers."""
