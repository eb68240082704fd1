"""ResNet-18, -34, -50 and -101 (He et al. 2016) from torchvision's classes, for images of any size, and the OOD detector."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models.classifier import Classifier
from penumbra.models.imagenet import MEAN, STD
from penumbra.models.vision import resnet

ARCHITECTURES = {
    "resnet18": (resnet.BasicBlock, (2, 2, 2, 2)),
    "resnet34": (resnet.BasicBlock, (3, 4, 6, 3)),
    "resnet50": (resnet.Bottleneck, (3, 4, 6, 3)),
    "resnet101": (resnet.Bottleneck, (3, 4, 23, 3)),
}
LEAK = 0.1  # slope of phi's hidden units below zero
NARROW = 8  # channels: see `layout`


def layout(network: nn.Module) -> torch.memory_format:
    """How the network's images lie in memory: channels last, which takes a fifth less time in training on a CPU, where it is safe.

    oneDNN 3.12 (in torch 2.13) writes past its buffers in the backward pass of a 1 x 1 convolution with a stride and fewer than 8
    input channels, where images are channels last and the kernel is its AVX2 one: a crash, or wrong numbers without a crash. A
    network with such a convolution stays contiguous. Its input must be contiguous too: torch follows whichever of both is not.
    """
    narrow = any(
        isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.stride != (1, 1) and module.in_channels < NARROW
        for module in network.modules()
    )
    return torch.contiguous_format if narrow else torch.channels_last


class ResNet(Classifier, resnet.ResNet):
    """A residual classifier; of width 64 with stem 7, 2, true its state dict is torchvision's.

    Args:
        architecture: resnet18 | resnet34 | resnet50 | resnet101.
        width: channels of the stem and of the first of four layers; each further layer doubles them.
        stem_kernel: side of the first convolution, odd.
        stem_stride: of the first convolution.
        stem_pool: halve the resolution by max pooling after the stem.
        classes: number of ID classes.

    Raises:
        PenumbraError: unknown architecture.
    """

    def __init__(self, architecture: str, width: int, stem_kernel: int, stem_stride: int, stem_pool: bool, classes: int):
        nn.Module.__init__(self)  # not torchvision's: it fixes the width and the stem
        if architecture not in ARCHITECTURES:
            raise PenumbraError(f"architecture {architecture!r} is unknown. Use one of {', '.join(ARCHITECTURES)}.")
        self.config = {
            "architecture": architecture,
            "width": width,
            "stem_kernel": stem_kernel,
            "stem_stride": stem_stride,
            "stem_pool": stem_pool,
            "classes": classes,
        }
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, width, 1, 1, 64  # for _make_layer
        block, depths = ARCHITECTURES[architecture]
        self.conv1 = nn.Conv2d(3, width, stem_kernel, stem_stride, stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem_pool else nn.Identity()
        for index, depth in enumerate(depths):
            layer = self._make_layer(block, width * 2**index, depth, stride=1 if index == 0 else 2)
            self.add_module(f"layer{index + 1}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width * 8 * block.expansion, classes)
        self._initialise()
        self.see(MEAN, STD)
        self.layout = layout(self)
        self.to(memory_format=self.layout)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def last_layer(self) -> nn.Linear:
        return self.fc

    @property
    def map_layers(self) -> tuple[nn.Module, ...]:
        return self.layer1, self.layer2, self.layer3, self.layer4

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.contiguous(memory_format=self.layout)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        features = self.avgpool(x).flatten(1)
        return self.fc(features), features


class Phi(nn.Module):
    """The nonlinear head phi (Bad-OOD eq. 4, GOOD eq. 8): energy [B] -> log-odds of being OOD [B].

    Args:
        hidden: hidden units.
        monotone: phi is increasing, because weights act by their absolute value. With free signs training may as well learn
            that outliers have a low energy, and the energy would no longer be the OOD score of Bad-OOD eq. 6. A leaky unit
            cannot die: energies run far below zero. False: free signs and plain ReLU, the head of GOOD's official code, whose
            two logits differ by such a function.
    """

    def __init__(self, hidden: int, monotone: bool = True):
        super().__init__()
        self.monotone = monotone
        self.fc1 = nn.Linear(1, hidden)
        self.fc2 = nn.Linear(hidden, 1)

    def forward(self, energy: Tensor) -> Tensor:
        if not self.monotone:
            return self.fc2(F.relu(self.fc1(energy[:, None])))[:, 0]
        hidden = F.leaky_relu(F.linear(energy[:, None], self.fc1.weight.abs(), self.fc1.bias), LEAK)
        return F.linear(hidden, self.fc2.weight.abs(), self.fc2.bias)[:, 0]


class Detector(ResNet):
    """A ResNet, with the uncertainty head `phi` on its energy where it is trained with one (Bad-OOD 3.4).

    Args:
        phi_hidden: hidden units of phi; None: there is no head, `phi` is None.
        phi_monotone: see `Phi`.
        **architecture: see `ResNet`.
    """

    def __init__(self, *, phi_hidden: int | None = None, phi_monotone: bool = True, **architecture: int | str | bool):
        super().__init__(**architecture)
        self.config |= {"phi_hidden": phi_hidden, "phi_monotone": phi_monotone}
        self.phi = None if phi_hidden is None else Phi(phi_hidden, phi_monotone)
