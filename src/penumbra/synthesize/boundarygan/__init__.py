"""Images at the boundary of ID by a GAN that learns beside a classifier (Lee et al. 2018)."""
