"""The words of classes in a text-to-image model: their embeddings, and prompts in which others stand in their place."""

from collections.abc import Sequence

import torch
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models.latent import LatentDiffusion


def own_tokens(ids: Tensor, prompts: Sequence[str]) -> Tensor:
    """Where each class's prompt says which class it is, bool [C, L] of token ids [C, L]: tokens that not every prompt has.

    Where class names are single tokens, as in the paper, these are they.

    Raises:
        PenumbraError: nothing tells a prompt from the others.
    """
    shared = set.intersection(*(set(row) for row in ids.tolist())) if len(ids) > 1 else set()
    if len(ids) == 1:
        raise PenumbraError(f"prompt {prompts[0]!r}: one ID class has no words of its own. Dream-OOD needs two classes or more.")
    own = ~torch.isin(ids, torch.tensor(sorted(shared), device=ids.device))
    for mask, prompt in zip(own, prompts, strict=True):
        if not mask.any():
            raise PenumbraError(f"prompt {prompt!r}: has no word of its own among those of the ID classes. Give classes other names.")
    return own


def anchors(model: LatentDiffusion, ids: Tensor, own: Tensor) -> Tensor:
    """T(y) [C, D], float32: the mean of the word embeddings of each class's own tokens (Dream-OOD 3.1)."""
    embedded = model.text_encoder.get_input_embeddings()(ids).float()
    return (embedded * own[..., None]).sum(1) / own.sum(1, keepdim=True)


@torch.no_grad()
def conditions(model: LatentDiffusion, ids: Tensor, own: Tensor, embeddings: Tensor) -> Tensor:
    """Text conditions [B, L, D] of prompts [B, L] in which every own token [B, L] has the embedding of its row [B, D] (Dream-OOD 3.3)."""

    def replaced(module: torch.nn.Module, inputs: tuple, embedded: Tensor) -> Tensor:
        return torch.where(own[..., None], embeddings[:, None].to(embedded), embedded)

    handle = model.text_encoder.get_input_embeddings().register_forward_hook(replaced)
    try:
        return model.text_encoder(ids).last_hidden_state
    finally:
        handle.remove()
