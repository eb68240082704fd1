"""CutPaste: a patch of an ID image, pasted elsewhere in it (Li et al. 2021, 3.2)."""
