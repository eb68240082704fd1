"""score@DETECTOR: every OOD score of every test image, one forward pass."""
