"""Fake-it (Mirzaei et al. 2023): samples of a diffusion model of ID images whose training stops early."""
