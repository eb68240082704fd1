"""Mixtures of ID images and outliers, with labels between one-hot and uniform (MixOE, Zhang et al. 2023)."""
