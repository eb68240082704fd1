"""Class probabilities as a quotient h(x) / g(x), learnt from ID images alone (Generalized ODIN, Hsu et al. 2020)."""
