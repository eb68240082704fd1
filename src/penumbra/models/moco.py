"""The MoCo-v3 encoder (Chen, Xie, He 2021): a Vision Transformer with a three-layer projection head.

Architecture and state-dict keys are those of facebookresearch/moco-v3 and of `pretrained_encoder` in LTH14/rcg.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.networks import Saved
from penumbra.models.imagenet import MEAN, STD
from penumbra.models.vit import LAYER_NORM_EPS, Block, PatchEmbed, sincos_position_embedding


def normalise(images: Tensor) -> Tensor:
    """Images in [0, 1] [B, 3, H, W] with ImageNet's mean and standard deviation taken out."""
    mean, std = (torch.tensor(values, dtype=images.dtype, device=images.device)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


def standardise(representation: Tensor) -> Tensor:
    """Each row of [B, D] with mean 0 and unbiased standard deviation 1, so of norm sqrt(D - 1) (RCG; no dataset statistics)."""
    centred = representation - representation.mean(1, keepdim=True)
    return centred / representation.std(1, keepdim=True)


def projector(sizes: list[int]) -> nn.Sequential:
    """Linear layers without bias, BatchNorm and ReLU between them; the last BatchNorm has no affine map (MoCo-v3 `_build_mlp`)."""
    layers: list[nn.Module] = []
    for index, (entering, leaving) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers.append(nn.Linear(entering, leaving, bias=False))
        if index < len(sizes) - 2:
            layers += [nn.BatchNorm1d(leaving), nn.ReLU(inplace=True)]
        else:
            layers.append(nn.BatchNorm1d(leaving, affine=False))
    return nn.Sequential(*layers)


class MoCoEncoder(Saved, nn.Module):
    """Encoder with its head. ViT-B: 224, 16, 768, 12, 12, 4096, 256. ViT-L: 224, 16, 1024, 24, 16, 4096, 256.

    Args:
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels.
        width: of a token.
        depth: number of blocks.
        heads: attention heads.
        projection_hidden: width of the head's two hidden layers.
        projection: dimensions of the representation.
    """

    def __init__(self, image_size: int, patch_size: int, width: int, depth: int, heads: int, projection_hidden: int, projection: int):
        super().__init__()
        self.config = {
            "image_size": image_size,
            "patch_size": patch_size,
            "width": width,
            "depth": depth,
            "heads": heads,
            "projection_hidden": projection_hidden,
            "projection": projection,
        }
        self.image_size = image_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(sincos_position_embedding(image_size // patch_size, width), requires_grad=False)
        self.patch_embed = PatchEmbed(patch_size, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.head = projector([width, projection_hidden, projection_hidden, projection])
        self._initialise(patch_size, width)

    def _initialise(self, patch_size: int, width: int) -> None:
        """Initial weights of MoCo-v3; the patch projection stays at its random values for good."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and not name.startswith("head."):
                if name.endswith("attn.qkv"):
                    bound = math.sqrt(6 / (2 * width))  # fan-out of query, key and value apart
                    nn.init.uniform_(module.weight, -bound, bound)
                else:
                    nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.cls_token, std=1e-6)
        bound = math.sqrt(6 / (3 * patch_size**2 + width))
        nn.init.uniform_(self.patch_embed.proj.weight, -bound, bound)
        nn.init.zeros_(self.patch_embed.proj.bias)
        self.patch_embed.requires_grad_(False)

    def forward_features(self, x: Tensor) -> Tensor:
        """Class token [B, width] after the final norm, of normalised images [B, 3, image_size, image_size]."""
        tokens = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Projection [B, projection] of normalised images; BatchNorm uses the batch while training."""
        return self.head(self.forward_features(x))

    @torch.no_grad()
    def represent(self, images: Tensor) -> Tensor:
        """Standardised representation [B, projection] of images [B, 3, H, W] in [0, 1], as RCG makes it; in eval mode."""
        return self.standardised(normalise(images))

    def standardised(self, x: Tensor) -> Tensor:
        """The same of normalised images: bicubic without antialiasing to `image_size`, head, per-sample standardisation."""
        if x.shape[-2:] != (self.image_size, self.image_size):
            x = F.interpolate(x, (self.image_size, self.image_size), mode="bicubic", align_corners=False, antialias=False)
        return standardise(self(x))
