"""Pixel statistics of ImageNet, which published networks expect to be taken out."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
