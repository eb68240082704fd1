"""synthesize@METHOD: candidate outliers, one row each, with provenance."""
