"""Asking a trained detector about any pictures, and handing it on: no stage, so nothing here changes a result of the experiment.

A detector is all its training seeds. `contents.Contents` is what it is made of. In its repository (`repository`) the networks lie in
data/detectors; what its scores are fitted on, and its thresholds, come from data/outputs; how pictures become pixels, from prepare. In a
directory that `export` wrote (`folder`) all of it lies side by side. `graph` is the whole of it as one function of pixels.
"""
