"""Embeddings on a sphere, compact around the prototype of their class, prototypes apart (CIDER, Ming et al. 2023)."""
