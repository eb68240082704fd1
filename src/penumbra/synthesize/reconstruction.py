"""synthesize@reconstruction: what the autoencoder alone makes of ID images; SONA's engine without a step."""

from penumbra.synthesize.sona import main

__all__ = ["main"]
