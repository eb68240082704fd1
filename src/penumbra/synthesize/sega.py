"""synthesize@sega: the OOD semantics alone, on top of the ID prompt (SEGA); SONA's engine."""

from penumbra.synthesize.sona import main

__all__ = ["main"]
