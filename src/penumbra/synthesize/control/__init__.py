"""ID images that a pipeline encodes and decodes, unchanged."""
