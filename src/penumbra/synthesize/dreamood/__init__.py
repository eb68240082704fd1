"""Dream-OOD (Du et al. 2023): outliers in the space of a text-to-image model's word embeddings, decoded to images."""
