"""Semantic guidance: a text condition acts only where it changes the predicted noise most, or least (SEGA, SONA).

psi_c = eps_c - eps_u is what the condition c adds to the unconditional noise prediction eps_u. Its largest absolute values
mark what c means in the image, its smallest what c leaves alone, the nuisance. SONA removes the ID semantics, keeps the
ID nuisance and adds OOD semantics outside of it (Yoon et al. 2025, eq. 3-7). SEGA (Brack et al. 2023) is its last
term alone, on top of classifier-free guidance; SDEdit is classifier-free guidance alone. So all three are one `Edit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

TERMS = ("keep", "remove", "add")  # the order of the official concepts, and so of their warm-ups
Masks = dict[str, Tensor]


@dataclass(frozen=True)
class Edit:
    """How predicted noise is guided.

    Attributes:
        scale: s of the masked terms.
        share: lambda in [0, 0.5], the share of elements in a mask; at 0 all masks are empty.
        granularity: what shares a quantile within a sample: "channel" each channel by itself, "tensor" all elements,
            "position" the sums over channels, which give all channels one mask.
        remove: - ID semantics.
        keep: + ID nuisance.
        add: + OOD semantics.
        spare: no OOD semantics where the ID nuisance is.
        warmup: executed steps before each of `TERMS` sets in.
        momentum_scale: weight of the mean of former guidance.
        momentum_beta: how slowly that mean moves, in [0, 1).
        text: condition of classifier-free guidance, "id" or "ood".
        text_guidance: its strength s in eps_u + s psi; 0 is none.
    """

    scale: float
    share: float
    granularity: str = "channel"
    remove: bool = True
    keep: bool = True
    add: bool = True
    spare: bool = True
    warmup: tuple[int, int, int] = (0, 0, 0)
    momentum_scale: float = 0.0
    momentum_beta: float = 0.0
    text: str = "ood"
    text_guidance: float = 0.0

    @property
    def terms(self) -> tuple[str, ...]:
        """The masked terms that are switched on and not empty, in the order of `TERMS`."""
        return tuple(name for name in TERMS if getattr(self, name) and self.scale and self.share)

    @property
    def conditions(self) -> tuple[str, ...]:
        """What the UNet must be asked beside the unconditional prediction: "id", "ood", both or nothing."""
        terms, text = self.terms, {self.text} if self.text_guidance else set()
        wanted = {
            "id": "keep" in terms or "remove" in terms or ("add" in terms and self.spare) or "id" in text,
            "ood": "add" in terms or "ood" in text,
        }
        return tuple(name for name, need in wanted.items() if need)


@dataclass(frozen=True)
class Guided:
    """Guided noise [B, C, h, w], the mean of guidance that goes on to the next step, and the mask of each term."""

    eps: Tensor
    momentum: Tensor
    masks: Masks


def region_masks(psi: Tensor, share: float, granularity: str) -> tuple[Tensor, Tensor]:
    """M_S and M_N of SONA eq. 3, boolean [B, C, h, w]: the top and the bottom share of |psi| in each sample.

    Of n values without ties M_S has n - ceil((1 - share)(n - 1)) and M_N has ceil(share (n - 1)). M_N is strictly below
    its threshold, as the paper prints it: for shares of at most 0.5 the masks are then disjoint whatever the ties.

    Args:
        psi: [B, C, h, w].
        share: in [0, 1]; 0 gives empty masks.
        granularity: see `Edit`.
    """
    magnitude = psi.float().abs()  # torch.quantile knows no half precision
    if granularity == "position":
        magnitude = magnitude.sum(1, keepdim=True)
    if share == 0:
        empty = torch.zeros_like(psi, dtype=torch.bool)
        return empty, empty
    kept = magnitude.flatten(1 if granularity == "tensor" else 2)
    levels = torch.tensor([1 - share, share], device=psi.device)
    high, low = (t.view(*t.shape, *[1] * (4 - t.dim())) for t in torch.quantile(kept, levels, dim=-1))
    return (magnitude >= high).expand_as(psi), (magnitude < low).expand_as(psi)


def masked_terms(psi: Mapping[str, Tensor], edit: Edit) -> dict[str, tuple[Tensor, Tensor]]:
    """Mask and direction, both [B, C, h, w], of each term that is on (SONA eq. 5-7), in the order of `TERMS`.

    Args:
        psi: that of edit.conditions, by name.
    """
    on, found = edit.terms, {}
    if on and "id" in psi:
        semantic, nuisance = region_masks(psi["id"], edit.share, edit.granularity)
    if "keep" in on:
        found["keep"] = nuisance, psi["id"]
    if "remove" in on:
        found["remove"] = semantic, -psi["id"]
    if "add" in on:
        foreign, _ = region_masks(psi["ood"], edit.share, edit.granularity)
        found["add"] = foreign & ~nuisance if edit.spare else foreign, psi["ood"]
    return found


def blend(terms: list[Tensor], warm: list[bool], momentum: Tensor, scale: float, beta: float) -> tuple[Tensor | None, Tensor]:
    """Sum of terms [B, ...] with momentum, as SEGA accumulates it; each term has weight 1.

    Momentum runs over all terms from the first step on. It enters the guidance only once all are warm; while some are,
    guidance is their mean.

    Returns:
        Guidance (None: no term is warm), momentum for the next step.
    """
    total = torch.stack(terms).sum(0) + scale * momentum
    following = beta * momentum + (1 - beta) * total
    if all(warm):
        return total, following
    ready = [term for term, is_warm in zip(terms, warm, strict=True) if is_warm]
    return torch.stack(ready).mean(0) if ready else None, following


def guide(unconditional: Tensor, conditional: Mapping[str, Tensor], edit: Edit, step: int, momentum: Tensor) -> Guided:
    """Guided noise eps_u + s Delta (SONA eq. 4).

    Args:
        unconditional: eps_u [B, C, h, w].
        conditional: eps_c for each of edit.conditions.
        step: executed steps before this one, the same for all B.
        momentum: of the step before; zeros at the first.
    """
    psi = {name: eps - unconditional for name, eps in conditional.items()}
    eps = unconditional
    if edit.text_guidance:
        eps = eps + edit.text_guidance * psi[edit.text]
    found = masked_terms(psi, edit)
    if found:
        warm = [step >= edit.warmup[TERMS.index(name)] for name in found]
        directions = [mask * direction for mask, direction in found.values()]
        delta, momentum = blend(directions, warm, momentum, edit.momentum_scale, edit.momentum_beta)
        if delta is not None:
            eps = eps + edit.scale * delta
    return Guided(eps, momentum, {name: mask for name, (mask, _) in found.items()})
