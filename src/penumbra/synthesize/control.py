"""synthesize@control: ID images on SynOOD's way, chosen, decoded and compressed as its outliers are, but not repainted."""

from penumbra.synthesize.synood import main

__all__ = ["main"]
