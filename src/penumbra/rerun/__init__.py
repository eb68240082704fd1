"""rerun@DETECTOR: scores that the kept outputs do not give, because they need other layers or gradients: the network runs again.

`infer` keeps what every score can use; what a few scores need of a layer (matrices for each image) is too much to keep. So these have a
stage of their own, which exists for the detectors that `rerun.detectors` names.
"""
