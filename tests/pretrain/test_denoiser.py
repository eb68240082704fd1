"""What the networks of pretrain@diffusion are made of and learn from, against their definitions."""

import pytest
import torch

from penumbra.noise import generator
from penumbra.pretrain import autoencoder, denoiser


@pytest.mark.parametrize(
    ("channels", "groups"),
    [([320, 640, 1280], 32), ([128, 256, 512], 32), ([16, 32], 4), ([64, 96], 8), ([6], 1), ([9, 3], 1), ([144], 24)],
)
def test_norms_have_stable_diffusions_groups_or_four_channels_each(channels, groups):
    assert autoencoder.norm_groups(channels) == groups


def test_the_loss_is_the_error_of_the_noise_at_each_level():
    class Zero(torch.nn.Module):
        def forward(self, z_t, t, condition, return_dict):
            self.seen = z_t, t
            return (torch.zeros_like(z_t),)

    class Text(torch.nn.Module):
        def forward(self, tokens):
            return type("Out", (), {"last_hidden_state": tokens})

    networks = torch.nn.ModuleDict({"unet": Zero(), "text_encoder": Text()})
    draws = generator(0)
    z0, noise = torch.randn(3, 2, 4, 4, generator=draws), torch.randn(3, 2, 4, 4, generator=draws)
    abar, t = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([2, 0, 1])
    assert denoiser.denoising_loss(networks, z0, torch.zeros(3, 1), abar, t, noise).item() == pytest.approx(noise.square().mean().item())
    for row, level in enumerate((0.1, 0.9, 0.5)):
        torch.testing.assert_close(networks["unet"].seen[0][row], level**0.5 * z0[row] + (1 - level) ** 0.5 * noise[row])
