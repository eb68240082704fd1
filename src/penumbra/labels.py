"""What the texts of ID labels and of negative labels say of images: MCM and NegLabel; higher = more OOD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import log, logsumexp
from penumbra.errors import PenumbraError
from penumbra.logits import msp

LOGITS_BLOCK = 2**22  # logits of ID and negative labels in memory at a time


def mcm(cosines: Tensor, temperature: float) -> Tensor:
    """Maximum concept matching (Ming et al. 2022) as -log p_max >= 0 [B]: `msp` of cos/T.

    Args:
        cosines: of images and ID texts [B, C].
        temperature: T above 0 (paper: 1).
    """
    return msp(cosines / temperature)


def grouped(count: int, groups: int, draws: torch.Generator) -> Tensor:
    """Which negative labels make a group [G, count // G]: all but the last count mod G, permuted (NegLabel 3.3 and its code).

    Raises:
        PenumbraError: there are fewer labels than groups.
    """
    if count < groups:
        raise PenumbraError(
            f"features/negatives: {count} negative labels are too few for {groups} groups. Lower groups of the recipe, or raise "
            "extract.negatives.neglabel.share."
        )
    return torch.randperm(count - count % groups, generator=draws).view(groups, -1)


def neglabel_share(log_odds: Tensor) -> Tensor:
    """The score s in (0, 1) of its log-odds, float64 [B].

    Beyond log-odds of 37 float64 has no further number below 1, and images tie; the log-odds keep their order.
    """
    ends = torch.finfo(torch.float64)
    return torch.sigmoid(log_odds).clamp(ends.tiny, 1 - ends.eps / 2)


def neglabel_log_odds(features: Tensor, texts: Tensor, negatives: Tensor, order: Tensor, temperature: float) -> Tensor:
    """log s - log(1 - s) of NegLabel's grouped score (Jiang et al. 2024), exact where s itself rounds to 0 or 1; float64 [B].

    s is the share of the negative labels in a softmax over ID and negative labels, mean over groups of these: one minus the
    paper's score, which is the ID labels' share. Lengths of features do not matter, nor who else is in the batch; memory does not
    grow with B.

    A group's share is the sigmoid of d = log sum_neg exp(cos/tau) - log sum_ID exp(cos/tau). Its mean over groups and that of
    1 - share are summed by their logarithms, so that no difference of nearly equal numbers is taken.

    Args:
        features: of images [B, D].
        texts: of the ID labels [C, D].
        negatives: of the negative labels [M, D].
        order: rows of `negatives` in each group [G, S], from `grouped`.
        temperature: tau above 0 (CLIP: 0.01).
    """
    labels = F.normalize(torch.cat([texts, negatives[order.flatten()]]), dim=1).T
    result = features.new_empty(len(features), dtype=torch.float64)
    size = max(LOGITS_BLOCK // labels.shape[1], 1)
    for rows, block in zip(result.split(size), features.split(size), strict=True):
        rows.copy_(_block_log_odds(block, labels, len(texts), order.shape, temperature))
    return result


def _block_log_odds(features: Tensor, labels: Tensor, classes: int, groups: torch.Size, temperature: float) -> Tensor:
    """Log-odds [B] from one product with all labels [D, C + G S]; the ID labels' sum is taken once for all groups."""
    logits = (F.normalize(features, dim=1) / temperature) @ labels
    d = _logsumexp(logits[:, classes:].view(-1, *groups)) - _logsumexp(logits[:, None, :classes])
    return logsumexp(F.logsigmoid(d), dim=1) - logsumexp(F.logsigmoid(-d), dim=1)


def _logsumexp(logits: Tensor) -> Tensor:
    """log sum exp over the last dimension, float64, in the memory of the logits."""
    highest = logits.amax(dim=-1, keepdim=True)
    return log(logits.sub_(highest).exp_().sum(dim=-1).double()) + highest[..., 0].double()
