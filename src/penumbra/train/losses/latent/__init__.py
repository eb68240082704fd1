"""A perceptron on representations of a frozen encoder: the latent detector of Bad-OOD's Table 13 (appendix I)."""
