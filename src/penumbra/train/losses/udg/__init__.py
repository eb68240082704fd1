"""Groups of labelled and unlabelled images, whose pure ones give their class to unlabelled images (UDG, Yang et al. 2021)."""
