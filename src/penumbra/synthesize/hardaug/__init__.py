"""Hard augmentations: transformations that break what an image shows, as in the pool of AutoAugOOD (Mirzaei et al. 2024)."""
