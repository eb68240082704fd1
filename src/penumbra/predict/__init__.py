"""Asking a trained detector about any pictures: no stage, so nothing here changes a result of the experiment.

A detector is all its training seeds. Its networks lie in data/detectors; what its scores are fitted on, and its threshold, come from
data/outputs; how pictures become pixels, from prepare.
"""
