"""The VQGAN tokenizer of MAGE (the MaskGIT one, not CompVis taming-transformers): images to codes and back.

Architecture and state-dict keys are those of `taming/` in LTH14/mage and LTH14/rcg. There is no attention.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.networks import Saved

GROUPS = 32  # fewer where a group would hold less than four channels, as in no published tokenizer
GROUP_NORM_EPS = 1e-6
RES_BLOCKS = 2  # per resolution, in encoder and decoder


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(GROUPS, channels // 4), channels, eps=GROUP_NORM_EPS)


class ResnetBlock(nn.Module):
    """norm-swish-conv twice. Where the channels change, the published block has no skip from its input.

    There `nin_shortcut` acts on the block's own output h and the result is h + nin_shortcut(h). The published weights
    are trained so.
    """

    def __init__(self, entering: int, leaving: int):
        super().__init__()
        self.norm1 = _norm(entering)
        self.conv1 = nn.Conv2d(entering, leaving, 3, padding=1, bias=False)
        self.norm2 = _norm(leaving)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, padding=1, bias=False)
        if entering != leaving:
            self.nin_shortcut = nn.Conv2d(leaving, leaving, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(h) if hasattr(self, "nin_shortcut") else x)


class Resolution(nn.Module):
    """The residual blocks of one resolution; in the decoder also the convolution after upsampling."""

    def __init__(self, entering: int, leaving: int, upsample: bool = False):
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(entering if index == 0 else leaving, leaving) for index in range(RES_BLOCKS))
        if upsample:
            self.upsample = nn.ModuleDict({"conv": nn.Conv2d(leaving, leaving, 3, padding=1)})

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class Middle(nn.Module):
    """Two residual blocks at the lowest resolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels)
        self.block_2 = ResnetBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.block_1(x))


class Encoder(nn.Module):
    """Images [B, 3, S, S] to latents [B, code_width, S / f, S / f]; resolution is halved by average pooling."""

    def __init__(self, channels: list[int], code_width: int):
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(Resolution(channels[max(index - 1, 0)], leaving) for index, leaving in enumerate(channels))
        self.mid = Middle(channels[-1])
        self.norm_out = _norm(channels[-1])
        self.conv_out = nn.Conv2d(channels[-1], code_width, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv_in(images)
        for index, level in enumerate(self.down):
            x = level(x if index == 0 else F.avg_pool2d(x, 2))
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Latents to images; `up.0` is the highest resolution."""

    def __init__(self, channels: list[int], code_width: int):
        super().__init__()
        entering = [*channels[1:], channels[-1]]
        self.conv_in = nn.Conv2d(code_width, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1])
        self.up = nn.ModuleList(Resolution(entering[index], channels[index], upsample=index > 0) for index in range(len(channels)))
        self.norm_out = _norm(channels[0])
        self.conv_out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.mid(self.conv_in(latents))
        for index in reversed(range(len(self.up))):
            x = self.up[index](x)
            if index > 0:
                x = self.up[index].upsample["conv"](F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(x)))


class VQGAN(Saved, nn.Module):
    """Tokenizer. Published: width 128, multipliers [1, 1, 2, 2, 4], codes 1024, code_width 256 (f = 16).

    Args:
        width: channels at the highest resolution, a multiple of 4; from 128 on of 32.
        multipliers: channels of each resolution in units of `width`; all but the first halve the side, so f = 2^(n-1).
        codes: size of the codebook.
        code_width: dimensions of a code.
    """

    def __init__(self, width: int, multipliers: list[int], codes: int, code_width: int):
        super().__init__()
        self.config = {"width": width, "multipliers": list(multipliers), "codes": codes, "code_width": code_width}
        self.factor = 2 ** (len(multipliers) - 1)
        channels = [width * multiplier for multiplier in multipliers]
        self.encoder = Encoder(channels, code_width)
        self.decoder = Decoder(channels, code_width)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(codes, code_width)})
        nn.init.uniform_(self.codebook, -1 / codes, 1 / codes)

    @property
    def codebook(self) -> nn.Parameter:
        """Codes [codes, code_width]."""
        return self.quantize["embedding"].weight

    def nearest(self, latents: Tensor) -> Tensor:
        """Ids [B, h, w] of the codes nearest (L2) to latents [B, code_width, h, w]."""
        vectors = latents.permute(0, 2, 3, 1)
        distances = self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T  # less |vector|^2, which does not matter
        return distances.argmin(-1)

    def lookup(self, ids: Tensor) -> Tensor:
        """Codes [B, code_width, h, w] of ids [B, h, w]."""
        return F.embedding(ids, self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def tokenize(self, images: Tensor) -> Tensor:
        """Ids [B, (S / f)^2], row by row, of images [B, 3, S, S] in [0, 1] (not normalised)."""
        return self.nearest(self.encoder(images)).flatten(1)

    @torch.no_grad()
    def decode(self, ids: Tensor) -> Tensor:
        """Images [B, 3, S, S], clamped to [0, 1], of ids [B, (S / f)^2]."""
        side = round(ids.shape[1] ** 0.5)
        return self.decoder(self.lookup(ids.view(len(ids), side, side))).clamp(0, 1)
