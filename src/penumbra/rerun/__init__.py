"""rerun@DETECTOR: scores of images that move by a gradient, or whose maps are changed on their way: the network runs again.

`infer` keeps what one pass gives, and all other scores are functions of that. So these few have a stage of their own, which exists for the
detectors that `rerun.detectors` names.
"""
