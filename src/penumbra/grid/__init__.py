"""grid: images of semantic by covariate shift, level by level, and what detectors say of them (Bad-OOD, 4.4).

The images are in no other file of the experiment, so a grid changes nothing of it: `grid@NAME` makes the images, `grid@DETECTOR` has a
detector score them as it scores test images. It repeats what two steps do, and so stands above them.
"""
