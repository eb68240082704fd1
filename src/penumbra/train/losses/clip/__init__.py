"""CLIP with negative labels, as it is or as SynOOD trains it on outliers (SynOOD 3.4, 3.5)."""
