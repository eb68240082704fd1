"""Cross-entropy and the logistic loss of a head on the energy (Bad-OOD eq. 5, GOOD eq. 8)."""
