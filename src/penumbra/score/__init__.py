"""score@DETECTOR: every OOD score of every test image, from what the detector said of it; no network runs."""
