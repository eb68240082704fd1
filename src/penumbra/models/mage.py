"""MAGE (Li et al. 2023) conditioned on a representation, as the pixel generator of RCG (Li, Katabi, He 2023).

Architecture and state-dict keys are those of `pixel_generator/mage/models_mage.py` in LTH14/rcg, without the frozen
`pretrained_encoder.*`, which is a network of its own here.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.networks import Saved
from penumbra.models.vit import LAYER_NORM_EPS, Block, PatchEmbed
from penumbra.models.vqgan import VQGAN
from penumbra.noise import SampleNoise

RESERVED = 1000  # ids of the vocabulary after the codes: classes of MAGE's first version; then the mask
FAKE_CLASS = 76  # the id in slot 0 lies this far after the codes (1100 with the published 1024)


class TokenEmbedding(nn.Module):
    """Word and position embedding as in BERT."""

    def __init__(self, vocabulary: int, width: int, positions: int, dropout: float):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.LayerNorm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("position_ids", torch.arange(positions)[None])
        for table in (self.word_embeddings, self.position_embeddings):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings [B, positions, width] of ids [B, positions]."""
        return self.dropout(self.LayerNorm(self.word_embeddings(ids) + self.position_embeddings(self.position_ids)))


class TokenHead(nn.Module):
    """Logits over the vocabulary, tied to the word embeddings, through which no gradient flows from here."""

    def __init__(self, entering: int, width: int, vocabulary: int):
        super().__init__()
        self.fc = nn.Linear(entering, width)
        self.ln = nn.LayerNorm(width)  # eps 1e-5, unlike all others
        self.bias = nn.Parameter(torch.zeros(1, 1, vocabulary))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        return self.ln(F.gelu(self.fc(x))) @ words.detach().T + self.bias


class MAGE(Saved, nn.Module):
    """Masked generator of VQGAN tokens. Published: image_size 256, patch_size 16, representation 256, dropout 0.1, with
    width/depth/heads 768/12/12 (B) or 1024/24/16 (L) and decoder 768/8/16 (B) or 1024/8/16 (L).

    Args:
        image_size: side of the images in pixels.
        patch_size: of patch_embed, which is in the published file but never used.
        representation: dimensions D of the condition.
        width, depth, heads: of the encoder blocks.
        decoder_width, decoder_depth, decoder_heads: of the decoder blocks.
        dropout: on embeddings, attention and branches while training.
        vqgan: arguments of the tokenizer.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        representation: int,
        width: int,
        depth: int,
        heads: int,
        decoder_width: int,
        decoder_depth: int,
        decoder_heads: int,
        dropout: float,
        vqgan: dict[str, Any],
    ):
        super().__init__()
        self.config = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.vqgan = VQGAN(**vqgan).requires_grad_(False)
        self.codes = self.vqgan.config["codes"]
        self.mask_id = self.codes + RESERVED
        self.tokens = (image_size // self.vqgan.factor) ** 2
        vocabulary, slots = self.mask_id + 1, self.tokens + 1
        self.token_emb = TokenEmbedding(vocabulary, width, slots, dropout)
        self.latent_prior_proj = nn.Linear(representation, width)
        self.fake_latent = nn.Parameter(0.02 * torch.randn(1, representation))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.decoder_pos_embed_learned = nn.Parameter(0.02 * torch.randn(1, slots, decoder_width))
        self.decoder_blocks = nn.ModuleList(Block(decoder_width, decoder_heads, dropout) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=LAYER_NORM_EPS)
        self.mlm_layer = TokenHead(decoder_width, width, vocabulary)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and not name.startswith("vqgan."):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        self._add_unused(patch_size, width, decoder_width)

    def _add_unused(self, patch_size: int, width: int, decoder_width: int) -> None:
        """Weights that the published file holds and no computation reads."""
        patches = (self.config["image_size"] // patch_size) ** 2

        def unused(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(shape), requires_grad=False)

        self.cls_token = unused(1, 1, width)
        self.pos_embed = unused(1, patches + 1, width)
        self.patch_embed = PatchEmbed(patch_size, width).requires_grad_(False)
        self.mask_token = unused(1, 1, decoder_width)
        self.decoder_pos_embed = unused(1, patches + 1, decoder_width)
        self.decoder_pred = nn.Linear(decoder_width, 3 * patch_size**2).requires_grad_(False)

    def forward(self, ids: Tensor, z: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits [B, T, codes] at every position.

        Args:
            ids: [B, T] codes, or `mask_id` where unknown.
            z: [B, D] representations.
            kept: [B, K] sorted positions that enter the encoder; the decoder sees the others as masked. None: all.
        """
        batch = len(ids)
        slot = torch.full((batch, 1), self.codes + FAKE_CLASS, device=ids.device)
        x = self.token_emb(torch.cat([slot, ids], dim=1))
        condition = self.latent_prior_proj(z)[:, None]  # neither position nor norm: it replaces slot 0 after both
        x = torch.cat([condition, x[:, 1:]], dim=1)
        if kept is not None:
            kept = torch.cat([torch.zeros_like(kept[:, :1]), kept + 1], dim=1)
            x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
        for block in self.blocks:
            x = block(x)
        return self._decode(self.decoder_embed(self.norm(x)), ids, kept)

    def _decode(self, x: Tensor, ids: Tensor, kept: Tensor | None) -> Tensor:
        padding = x[:, :1].expand(-1, self.tokens + 1, -1)  # unknown positions get the vector of slot 0
        if kept is not None:
            x = padding.scatter(1, kept[..., None].expand(-1, -1, x.shape[-1]), x)
        unknown = F.pad(ids == self.mask_id, (1, 0))
        x = torch.where(unknown[..., None], padding, x) + self.decoder_pos_embed_learned
        for block in self.decoder_blocks:
            x = block(x)
        return self.mlm_layer(self.decoder_norm(x), self.token_emb.word_embeddings.weight)[:, 1:, : self.codes]

    @torch.no_grad()
    def generate(self, z: Tensor, noise: SampleNoise, steps: int, temperature: float, guidance: float) -> Tensor:
        """Images [B, 3, S, S] in [0, 1] of representations [B, D], decoded in `steps` passes (MAGE/RCG `gen_image`).

        Args:
            z: standardised representations.
            noise: the streams of the B samples; two Gumbel draws of every step.
            steps: number of passes N (RCG: 20).
            temperature: of the confidence noise (RCG: 6 for B, 11 for L).
            guidance: weight of classifier-free guidance at the last step, growing linearly; 0 does without.
        """
        ids = torch.full((len(z), self.tokens), self.mask_id, device=z.device)
        for step in range(steps):
            progress = (step + 1) / steps
            unknown = ids == self.mask_id
            logits = self._guided(ids, z, guidance * progress)
            # argmax(logits + Gumbel) draws from the categorical; the draws are per sample
            sampled = torch.where(unknown, (logits + noise.gumbel(*logits.shape[1:]).to(z)).argmax(-1), ids)
            confidence = logits.log_softmax(-1).gather(-1, sampled[..., None])[..., 0]
            confidence = confidence + temperature * (1 - progress) * noise.gumbel(self.tokens).to(z)
            rank = confidence.masked_fill(~unknown, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
            ids = sampled.masked_fill(rank < masked_after(step, steps, self.tokens, unknown.sum(1))[:, None], self.mask_id)
        return self.vqgan.decode(sampled)

    def _guided(self, ids: Tensor, z: Tensor, weight: float) -> Tensor:
        logits = self(ids, z)
        if weight == 0:
            return logits
        return logits + weight * (logits - self(ids, self.fake_latent.expand(len(z), -1)))


def masked_after(step: int, steps: int, tokens: int, unknown: Tensor) -> Tensor:
    """Number of positions [B] that are masked again after a step, of which `unknown` [B] were before: the cosine schedule.

    At least one position is decided and one stays open, for each sample by its own count (the official code takes the
    first sample's for all). What the last step masks is not used.
    """
    scheduled = math.floor(tokens * math.cos(math.pi / 2 * (step + 1) / steps))
    return (unknown - 1).clamp(max=scheduled).clamp(min=1)
