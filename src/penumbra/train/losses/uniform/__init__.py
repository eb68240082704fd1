"""Cross-entropy, outliers to the uniform distribution, and information of ID features about outliers (SONA 3.5)."""
