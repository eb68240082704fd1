"""What the tests of rerun ask for, and of how many images."""

COUNTS = {"train": 30, "val": 6, "calibration": 5, "test": 4, "ood": 5, "shifted": 3}
SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False}
SCORES = {
    "odin": {"score": "odin", "temperature": 1000, "noise": [0, 0.02]},
    "rankfeat": {"score": "rankfeat", "blocks": "last-two"},
}
