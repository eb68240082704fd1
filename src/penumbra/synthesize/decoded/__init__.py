"""Bad-OOD's guided representations, decoded by a diffusion model in place of MAGE (its Fig. 4 b)."""
