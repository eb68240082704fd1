"""Outliers around the boundary of each class's features, and a head that parts them from ID images (NPOS, Tao et al. 2023)."""
