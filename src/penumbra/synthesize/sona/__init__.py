"""SONA: semantic and nuisance masks guide the edit of every ID image (and SEGA, SDEdit)."""
