"""Distance to the k-th nearest neighbour among the features of ID training images (Sun et al. 2022)."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from penumbra.errors import PenumbraError
from penumbra.scores.base import Asked, Bank, Score
from penumbra.values import Count, Section, distinct

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

QUERY_BLOCK = 1024
BANK_BLOCK = 16384  # with a query block 128 MiB of cosines in float64


class Knn(Score):
    """r_k = ||z - z_(k)|| >= 0, all features z normalised to length 1; the paper's score is -r_k, higher = more ID."""

    name = "knn"

    class Parameters(Section):
        knn_k: Count
        knn_more: Annotated[list[Count], AfterValidator(distinct)]

    def fit(self, bank: Bank) -> None:
        """Keep the normalised features of ID training images.

        Raises:
            PenumbraError: k is above their number; names the parameter.
        """
        import torch.nn.functional as F

        p = self.parameters
        for key, wanted in {"knn_k": [p.knn_k], "knn_more": p.knn_more}.items():
            if wanted and max(wanted) > len(bank.train.features):
                raise PenumbraError(
                    f"params.yaml: score.{key} = {max(wanted)}: must be at most {len(bank.train.features)}, the number of ID training "
                    "images."
                )
        self.features = F.normalize(bank.train.features, dim=1)

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return distances(outputs.features, self.features, [self.parameters.knn_k])[:, 0]

    def columns(self, outputs: "Outputs") -> dict[str, "Tensor"]:
        """knn for knn_k, and knn_K for each K of knn_more, from one search for the farthest of them."""
        p = self.parameters
        found = distances(outputs.features, self.features, [p.knn_k, *p.knn_more])
        return dict(zip([self.name, *(f"{self.name}_{k}" for k in p.knn_more)], found.unbind(dim=1), strict=True))


class KnnAsked(Asked):
    """The same for a k of its own, which may be swept."""

    class Parameters(Section):
        score: Literal["knn"]
        k: Count

    def fit(self, bank: Bank) -> None:
        """Keep the normalised features of ID training images.

        Raises:
            PenumbraError: k is above their number.
        """
        import torch.nn.functional as F

        if self.parameters.k > len(bank.train.features):
            raise self.refused(f"must be at most {len(bank.train.features)}, the number of ID training images.", "k")
        self.features = F.normalize(bank.train.features, dim=1)

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return distances(outputs.features, self.features, [self.parameters.k])[:, 0]


def distances(features: "Tensor", bank: "Tensor", ks: list[int]) -> "Tensor":
    """Distances [B, K] to the k-th nearest rows of the bank, for each k.

    Memory does not grow with B nor with the size of the bank.

    Args:
        features: of any length [B, D].
        bank: of length 1 [M, D].
        ks: which neighbours, 1..M.
    """
    import torch
    import torch.nn.functional as F

    return torch.cat([_of_block(F.normalize(block, dim=1), bank, ks) for block in features.split(QUERY_BLOCK)])


def _of_block(queries: "Tensor", bank: "Tensor", ks: list[int]) -> "Tensor":
    """The same for queries of length 1; neighbours are found by cosines, their distances computed without the cancellation of these."""
    import torch

    cosine = index = None
    for start in range(0, len(bank), BANK_BLOCK):
        block = queries @ bank[start : start + BANK_BLOCK].T
        found, rows = block.topk(min(max(ks), block.shape[1]), dim=1)
        rows += start
        if cosine is not None:  # the nearest of the blocks before, and of this one
            found, rows = torch.cat([cosine, found], dim=1), torch.cat([index, rows], dim=1)
            found, order = found.topk(min(max(ks), found.shape[1]), dim=1)
            rows = rows.gather(1, order)
        cosine, index = found, rows
    return torch.stack([(queries - bank[index[:, k - 1]]).norm(dim=1) for k in ks], dim=1)
