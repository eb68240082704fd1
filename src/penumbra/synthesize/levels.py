"""The noise levels of a pipeline, for samplers that start in their middle."""

from penumbra.guidance.partial import Levels
from penumbra.models.latent import LatentDiffusion
from penumbra.stage import Params


def levels_of(model: LatentDiffusion, p: Params) -> Levels:
    """The noise levels that p.sampler visits in p.steps."""
    timesteps, scheduler = model.grid(p.steps).timesteps, model.scheduler
    stride = scheduler.config.num_train_timesteps // p.steps
    return Levels.of(timesteps, stride, scheduler.alphas_cumprod, float(scheduler.final_alpha_cumprod), p.sampler)
