"""The door to torchvision: import it from here.

The torchvision wheels of the package index are linked against CUDA. Beside a CPU build of torch their compiled operators
cannot load, and `import torchvision` then fails on the fake kernels of two of them. Declaring these two (box
suppression, unused here) lets everything else of torchvision work.
"""

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    _declared = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision import datasets, models
from torchvision.models import resnet

__all__ = ["datasets", "models", "resnet"]
