"""Classifiers of images: our ResNets, torchvision's and timm's by name, and one of our own that was published."""
