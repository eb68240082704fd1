"""OOD scores of logits and features, of images alone or beside texts; higher = more OOD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.logits import energy

QUERY_BLOCK = 1024
BANK_BLOCK = 65536
LOGITS_BLOCK = 2**22  # logits of ID and negative labels in memory at a time

__all__ = ["energy", "grouped", "knn", "max_logit", "mcm", "msp", "neglabel", "neglabel_log_odds", "neglabel_share", "neighbours"]


def msp(logits: Tensor) -> Tensor:
    """Maximum softmax probability (Hendrycks and Gimpel 2017) as -log p_max >= 0 [B], of logits [B, N].

    p_max itself rounds to 1 and ties confident images; the log of the other classes' share keeps their order.
    """
    relative = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    others = relative.scatter(1, logits.argmax(dim=1, keepdim=True), 0)
    return torch.log1p(others.sum(dim=1))


def max_logit(logits: Tensor) -> Tensor:
    """Negative maximum logit [B] (Hendrycks et al. 2022), of logits [B, N]."""
    return -logits.max(dim=1).values


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


def neglabel(features: Tensor, texts: Tensor, negatives: Tensor, order: Tensor, temperature: float) -> Tensor:
    """Share of the negative labels in a softmax over ID and negative labels, mean over groups of these (Jiang et al. 2024).

    One minus the paper's score, which is the ID labels' share. Lengths of features do not matter, nor who else is in the batch;
    memory does not grow with B. See `neglabel_log_odds` for the arguments.

    Returns:
        float64 [B] in (0, 1).
    """
    return neglabel_share(neglabel_log_odds(features, texts, negatives, order, temperature))


def neglabel_share(log_odds: Tensor) -> Tensor:
    """The score `neglabel` in (0, 1) of its log-odds, float64 [B].

    Beyond log-odds of 37 float64 has no further number below 1, and images tie; the log-odds keep their order.
    """
    ends = torch.finfo(torch.float64)
    return torch.sigmoid(log_odds).clamp(ends.tiny, 1 - ends.eps / 2)


def neglabel_log_odds(features: Tensor, texts: Tensor, negatives: Tensor, order: Tensor, temperature: float) -> Tensor:
    """log s - log(1 - s) of the score `neglabel`, exact where s itself rounds to 0 or 1; float64 [B].

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
    return torch.logsumexp(F.logsigmoid(d), dim=1) - torch.logsumexp(F.logsigmoid(-d), dim=1)


def _logsumexp(logits: Tensor) -> Tensor:
    """log sum exp over the last dimension, float64, in the memory of the logits."""
    highest = logits.amax(dim=-1, keepdim=True)
    return logits.sub_(highest).exp_().sum(dim=-1).double().log() + highest[..., 0].double()


def knn(features: Tensor, bank: Tensor, k: int) -> Tensor:
    """Distance [B] to the k-th nearest row of the bank, all features normalised to length 1 (Sun et al. 2022).

    Memory does not grow with B nor with the size of the bank.

    Args:
        features: [B, D].
        bank: features of the ID training images [M, D].
        k: 1..M.

    Raises:
        PenumbraError: the bank has fewer than k rows.
    """
    return neighbours(features, bank, {"score.knn_k": [k]})[:, 0]


def neighbours(features: Tensor, bank: Tensor, ks: dict[str, list[int]]) -> Tensor:
    """Distances [B, K] to K neighbours, in the order of `ks`, from one search for the farthest of them; else as `knn`.

    Args:
        features: [B, D].
        bank: [M, D].
        ks: which neighbours, 1..M, by the parameter that names them.

    Raises:
        PenumbraError: the bank has too few rows; names the parameter.
    """
    for key, wanted in ks.items():
        if wanted and max(wanted) > len(bank):
            raise PenumbraError(f"params.yaml: {key} = {max(wanted)}: must be at most {len(bank)}, the number of ID training images.")
    places = [k for wanted in ks.values() for k in wanted]
    bank = F.normalize(bank, dim=1)
    return torch.cat([_distances(F.normalize(block, dim=1), bank, places) for block in features.split(QUERY_BLOCK)])


def _distances(queries: Tensor, bank: Tensor, ks: list[int]) -> Tensor:
    """Distances [B, K] to the k-th nearest rows; found by cosines, then computed without their cancellation."""
    cosine = queries.new_zeros(len(queries), 0)
    index = torch.zeros(len(queries), 0, dtype=torch.long, device=queries.device)
    for start in range(0, len(bank), BANK_BLOCK):
        block = queries @ bank[start : start + BANK_BLOCK].T
        rows = torch.arange(start, start + block.shape[1], device=queries.device).expand_as(block)
        cosine, index = torch.cat([cosine, block], dim=1), torch.cat([index, rows], dim=1)
        cosine, order = cosine.topk(min(max(ks), cosine.shape[1]), dim=1)
        index = index.gather(1, order)
    return torch.stack([(queries - bank[index[:, k - 1]]).norm(dim=1) for k in ks], dim=1)
