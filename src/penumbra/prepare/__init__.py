"""prepare: sources named in params -> validated, deduplicated, split images."""
