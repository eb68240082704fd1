"""DiffEdit (Couairon et al. 2023): an image is denoised towards a prompt only where it and another prompt predict other noise.

Step 1 finds this region, step 2 noises the image by DDIM run backwards, step 3 denoises it under the prompt, and outside of the region
puts back what step 2 has kept (their section 3.2). The samples of a batch start at noise levels of their own, as in `partial`.
"""

import torch
from torch import Tensor

from penumbra.elementary import root
from penumbra.guidance.diffusion import ddim_step, predicted_clean, q_sample
from penumbra.guidance.partial import Eps, Record
from penumbra.schedules import Levels

MAPS = 10  # draws of noise that the region is a mean over
STRENGTH = 0.5  # share of the levels below the one at which the prompts are compared
EXTREME = 3.0  # times the mean; differences above are cut, for a few would set the scale of all
THRESHOLD = 0.5  # of the cut differences, scaled to 0..1


def region(eps: Eps, clean: Tensor, noises: Tensor, reference: Tensor, query: Tensor, levels: Levels) -> Tensor:
    """Step 1: where the two prompts differ, bool [B, 1, h, w]; each image by itself.

    The mean of |eps(z_t, query) - eps(z_t, reference)| over noises and channels, cut at EXTREME times its mean over the image, is in the
    region where it is above THRESHOLD of that.

    Args:
        clean: latents [B, C, h, w].
        noises: standard normal [N, B, C, h, w].
        reference, query: conditions [B, L, D] of the prompt that describes the image, and of the one that it is to follow.
    """
    t = torch.tensor(levels.timesteps[len(levels) - max(int(STRENGTH * len(levels)), 1)]).expand(len(clean))
    total = torch.zeros_like(clean[:, :1])
    for noise in noises:
        z = q_sample(clean, levels.at(t).to(clean), noise.to(clean))
        wanted, given = eps(torch.cat([z, z]), torch.cat([t, t]), torch.cat([query, reference])).chunk(2)
        total += (wanted - given).abs().mean(1, keepdim=True)
    return total > THRESHOLD * EXTREME * total.mean((1, 2, 3), keepdim=True)


def way(eps: Eps, clean: Tensor, stops: Tensor, condition: Tensor, levels: Levels) -> Tensor:
    """Step 2: the latents at each level on the way up [1 + S, B, C, h, w], S the highest stop; beyond its own stop an image stays.

    Args:
        clean: [B, C, h, w].
        stops: [B] on the CPU, descending: levels that each is noised by.
        condition: the unconditional one [B, L, D].
    """
    found, z = [clean], clean.clone()
    for step in range(1, int(stops[0]) + 1):
        active, place = int((stops >= step).sum()), len(levels) - step
        t, lower = torch.tensor(levels.timesteps[place]).expand(active), torch.tensor(levels.following[place]).expand(active)
        predicted = eps(z[:active], t, condition[:active])
        abar, below = levels.at(t).to(z), levels.at(lower).to(z)
        z = z.clone()
        z[:active] = root(abar) * predicted_clean(z[:active], predicted, below) + root(1 - abar) * predicted
        found.append(z)
    return torch.stack(found)


@torch.no_grad()
def diffedited(
    eps: Eps,
    clean: Tensor,
    noises: Tensor,
    stops: Tensor,
    conditions: Tensor,
    guidance: float,
    levels: Levels,
    record: Record | None = None,
) -> Tensor:
    """Edited latents [B, C, h, w], in the order of `clean`.

    Args:
        eps: of the frozen UNet.
        clean: [B, C, h, w].
        noises: standard normal [N, B, C, h, w], of the region.
        stops: [B], levels that each image is noised by; 0 gives the clean latent back.
        conditions: [3, B, L, D]: the unconditional one, the reference and the query.
        guidance: s of classifier-free guidance to the query.
        levels: those that DDIM visits.
        record: is told of every step; the region is the mask "add".
    """
    order = torch.argsort(stops.cpu(), descending=True, stable=True)
    stops, rows = stops.cpu()[order], order.to(clean.device)
    clean, (unconditional, reference, query) = clean[rows], conditions[:, rows]
    inside = region(eps, clean, noises[:, rows], reference, query, levels)
    kept = way(eps, clean, stops, unconditional, levels)
    every = torch.arange(len(stops))
    z = kept[stops.to(rows.device), every.to(rows.device)]
    for step in range(int(stops[0])):
        active = int((stops > step).sum())
        left = stops[:active] - step - 1
        places = len(levels) - 1 - left
        t, following = torch.tensor(levels.timesteps)[places], torch.tensor(levels.following)[places]
        both = torch.cat([unconditional[:active], query[:active]])
        without, wanted = eps(z[:active].repeat(2, 1, 1, 1), t.repeat(2), both).chunk(2)
        abar, below = levels.at(t).to(z), levels.at(following).to(z)
        guided = predicted_clean(z[:active], without + guidance * (wanted - without), abar)
        if record is not None:
            record(step, order[:active], guided, {"add": inside[:active].expand_as(guided)})
        moved = ddim_step(z[:active], guided, abar, below, eta=0.0)
        z[:active] = torch.where(inside[:active], moved, kept[left.to(rows.device), every[:active].to(rows.device)])
    return z[torch.argsort(rows)]
