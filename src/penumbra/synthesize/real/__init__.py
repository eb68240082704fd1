"""Real outliers: images of the experiment's world, for outlier exposure as Hendrycks et al. (2019) meant it."""
