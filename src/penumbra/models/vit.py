"""Parts of the plain Vision Transformer (timm 0.3.2 names), shared by the MoCo-v3 encoder and MAGE."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention with query, key and value in one projection (rows in that order)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        query, key, value = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=rate)
        x = self.proj(x.transpose(1, 2).reshape(batch, tokens, width))
        return F.dropout(x, self.dropout, self.training)


class Mlp(nn.Module):
    """Two layers with an exact (erf) GELU."""

    def __init__(self, width: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.gelu(self.fc1(x)), self.dropout, self.training)
        return F.dropout(self.fc2(x), self.dropout, self.training)


class Block(nn.Module):
    """Pre-norm transformer block on tokens [B, T, width].

    Args:
        width: of the tokens.
        heads: of the attention; divides `width`.
        dropout: rate on attention weights and on the outputs of both branches while training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attn = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Images [B, 3, H, W] to tokens [B, (H/p)(W/p), width], row by row."""

    def __init__(self, patch_size: int, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


def sincos_position_embedding(side: int, width: int) -> Tensor:
    """Fixed two-dimensional position embedding [1, 1 + side * side, width] of MoCo-v3, with zeros for the class token.

    Patch (r, c), row by row, gets [sin(r w), cos(r w), sin(c w), cos(c w)] with w_j = 10000^(-4j / width).

    Raises:
        ValueError: `width` is not a multiple of four.
    """
    if width % 4:
        raise ValueError(f"width {width} is not a multiple of four")
    frequency = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side).float()[:, None] * frequency
    wave = torch.cat([angle.sin(), angle.cos()], dim=1)
    patches = torch.cat([wave.repeat_interleave(side, 0), wave.repeat(side, 1)], dim=1)
    return torch.cat([torch.zeros(1, width), patches])[None]
