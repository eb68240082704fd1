"""What the decoders of representations that are diffusion models have in common, `ldm` and `dit`."""
