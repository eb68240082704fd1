"""synthesize@sdedit: an ID image, noised and denoised under global guidance to a word (SDEdit); SONA's engine without masks."""

from penumbra.synthesize.sona import main

__all__ = ["main"]
