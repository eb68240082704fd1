"""RankFeat (Song, Sebe and Wang 2022)."""

from typing import TYPE_CHECKING, Literal

from penumbra.rerun.scores.base import Rerun
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor, nn


class RankFeat(Rerun):
    """Energy -log sum_n exp f_n of the network from whose map X [C, hw] the greatest singular component is taken: X - s_1 u_1 v_1^T.

    `blocks`: of the map of the last block; or of that of each of the last two by itself, whose logits f are averaged (the fusion of the
    paper). The paper's score is the energy's negative: more ID.
    """

    class Parameters(Section):
        score: Literal["rankfeat"]
        blocks: Literal["last", "last-two"]

    def batch(self, images: "Tensor") -> "Tensor":
        from penumbra.logits import energy

        taken = list(self.network.map_layers)[-1 if self.parameters.blocks == "last" else -2 :]
        return energy(sum(self._logits(images, layer) for layer in taken) / len(taken))

    def _logits(self, images: "Tensor", layer: "nn.Module") -> "Tensor":
        import torch

        hook = layer.register_forward_hook(lambda _module, _given, output: without_first(output))
        try:
            with torch.no_grad():
                return self.network(images).double()
        finally:
            hook.remove()


def without_first(maps: "Tensor") -> "Tensor":
    """Maps [B, C, h, w] without the component of their greatest singular value: X - X v v^T, v of X^T X, in float64."""
    import torch

    matrices = maps.double().flatten(2)
    first = torch.linalg.eigh(matrices.transpose(1, 2) @ matrices).eigenvectors[:, :, -1:]
    return (matrices - matrices @ first @ first.transpose(1, 2)).to(maps.dtype).view(maps.shape)
