"""Virtual outliers in the space of features, and the weighted energy that parts them from ID images (VOS, Du et al. 2022)."""
