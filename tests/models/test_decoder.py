"""Decoders of representations: what they are conditioned on, guidance by hand, files that diffusers reads, and what is refused."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from penumbra.errors import PenumbraError
from penumbra.models.decoder import DitDecoder, LatentDecoder, RepresentationDiT
from penumbra.noise import generator
from tiny_decoder import KINDS, tiny_decoder
from tiny_pipeline import write_tiny_pipeline

from diffusers import DDIMScheduler, DiTTransformer2DModel, UNet2DConditionModel  # isort: skip

D = 6
DIT = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "in_channels": 4, "sample_size": 8, "patch_size": 2}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return write_tiny_pipeline(tmp_path_factory.mktemp("pipeline") / "sd")


@pytest.fixture(scope="module", params=KINDS)
def decoder(request, pipeline):
    return tiny_decoder(pipeline, request.param, D)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed))


def test_another_representation_is_another_picture(decoder):
    noise, z = normal(1, 4, 8, 8).expand(3, -1, -1, -1), normal(2, D, seed=1)
    pictures = decoder.decode(decoder.latents(torch.cat([z, decoder.nothing]), noise, 4, 1.0))
    assert pictures.shape == (3, 3, 16, 16)
    assert all((pictures[a] - pictures[b]).abs().max() > 1e-3 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_a_picture_does_not_depend_on_who_shares_its_batch(decoder):
    noise, z = normal(5, 4, 8, 8), normal(5, D, seed=1)
    together = decoder.latents(z, noise, 3, 2.0)
    for rows in ([3], [4, 0]):
        torch.testing.assert_close(decoder.latents(z[rows], noise[rows], 3, 2.0), together[rows], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_guidance_and_ddim_are_as_by_hand(decoder, guidance):
    """Ho and Salimans (2022): eps_u + s (eps_c - eps_u); Song et al. (2022), eq. 12 without noise. By diffusers' own steps."""
    noise, z = normal(2, 4, 8, 8), normal(2, D, seed=1)
    scheduler = DDIMScheduler.from_config(decoder.scheduler.config)
    scheduler.set_timesteps(5)
    x = noise
    for t in scheduler.timesteps:
        given, without = decoder.eps(x, t, z), decoder.eps(x, t, torch.zeros(2, D))
        x = scheduler.step(without + guidance * (given - without), t, x).prev_sample
    torch.testing.assert_close(decoder.latents(z, noise, 5, guidance), x, atol=1e-4, rtol=1e-4)


def test_without_guidance_nothing_is_asked_beside_the_representation_or_beside_nothing(decoder):
    noise, z = normal(2, 4, 8, 8), normal(2, D, seed=1)
    drawn = decoder.latents(decoder.nothing.expand(2, -1), noise, 3, 1.0)
    torch.testing.assert_close(decoder.latents(z, noise, 3, 0.0), drawn)


def test_the_unet_attends_to_the_representation_as_one_token(pipeline):
    decoder, z, noise = tiny_decoder(pipeline, "ldm", D), normal(2, D, seed=1), normal(2, 4, 8, 8)
    expected = decoder.network(noise, torch.tensor([7, 300]), encoder_hidden_states=z.view(2, 1, D)).sample
    torch.testing.assert_close(decoder.eps(noise, torch.tensor([7, 300]), z), expected)


def test_the_dit_is_diffusers_dit_whose_class_embedding_is_a_linear_map(pipeline):
    """A table of class embeddings that holds W z + b of two representations gives what these give."""
    network, z, noise = tiny_decoder(pipeline, "dit", D).network, normal(2, D, seed=1), normal(2, 4, 8, 8)
    official = DiTTransformer2DModel(**DIT, out_channels=4, num_embeds_ada_norm=2, norm_eps=1e-6, activation_fn="gelu").eval()
    state = {name: value for name, value in network.state_dict().items() if "class_embedder" not in name}
    for number, block in enumerate(network.transformer_blocks):
        linear = block.norm1.emb.class_embedder
        table = F.pad(z @ linear.weight.T + linear.bias, (0, 0, 0, 1))  # and the row of no class
        state[f"transformer_blocks.{number}.norm1.emb.class_embedder.embedding_table.weight"] = table
        official.transformer_blocks[number].norm1.emb.time_proj.downscale_freq_shift = 0
    official.load_state_dict(state)
    t = torch.tensor([7, 300])
    torch.testing.assert_close(network(noise, t, z).sample, official(noise, t, torch.arange(2)).sample)


def test_a_block_of_the_dit_hears_the_waves_of_t_and_the_representation():
    """As RCG has them: [cos(t f), sin(t f)] of f_j = 10000^(-j / 128)."""
    block, z, t = RepresentationDiT(D, out_channels=4, **DIT).transformer_blocks[1].norm1.emb, normal(2, D), torch.tensor([7, 300])
    angles = t[:, None] * 10_000 ** (-torch.arange(128) / 128)
    waves, mlp = torch.cat([angles.cos(), angles.sin()], 1), block.timestep_embedder
    heard = mlp.linear_2(F.silu(mlp.linear_1(waves))) + z @ block.class_embedder.weight.T + block.class_embedder.bias
    torch.testing.assert_close(block(t, z, hidden_dtype=torch.float32), heard, atol=1e-4, rtol=1e-4)


def test_a_fresh_dit_says_nothing_and_each_of_its_blocks_leaves_its_tokens_as_they_are():
    network, tokens = RepresentationDiT(D, out_channels=4, **DIT), normal(2, 16, 16)
    z, t = normal(2, D), torch.tensor([1, 2])
    assert network(normal(2, 4, 8, 8), t, z).sample.abs().max() == 0
    for block in network.transformer_blocks:
        assert torch.equal(block(tokens, timestep=t, class_labels=z), tokens)


def test_the_variance_that_a_dit_predicts_beside_the_noise_is_left_out(pipeline):
    noise, t, z = normal(1, 4, 8, 8), torch.tensor([5]), normal(1, D)
    decoder, wide = tiny_decoder(pipeline, "dit", D), RepresentationDiT(D, out_channels=8, **DIT)
    torch.nn.init.normal_(wide.proj_out_2.weight)
    both = DitDecoder(decoder.vae, wide, decoder.scheduler)
    assert both.eps(noise, t, z).shape == noise.shape
    assert torch.equal(both.eps(noise, t, z), wide(noise, t, z).sample[:, :4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_decoder_is_the_same_and_its_bytes_say_nothing_of_where_it_was(pipeline, tmp_path, kind):
    decoder, made = tiny_decoder(pipeline, kind, D), KINDS[kind][0]
    decoder.save_pretrained(tmp_path / "one", {"stage": "test"})
    again = made.load(tmp_path / "one")
    again.save_pretrained(tmp_path / "two", {"stage": "test"})
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert {str(path.parent) for path in files} == {".", "vae", made.PART, "scheduler"}
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    noise, z = normal(2, 4, 8, 8), normal(2, D, seed=1)
    assert torch.equal(again.latents(z, noise, 3, 2.0), decoder.latents(z, noise, 3, 2.0))
    assert (again.dimension, again.latent_shape, again.levels(5)) == (D, (4, 8, 8), decoder.levels(5))
    if kind == "ldm":
        assert UNet2DConditionModel.from_pretrained(tmp_path / "one/unet").config.cross_attention_dim == D
    else:
        config = json.loads((tmp_path / "one/transformer/config.json").read_text())
        assert (config["representation"], config["patch_size"], config["num_layers"]) == (D, 2, 2)
        weights = load_file(tmp_path / "one/transformer/diffusion_pytorch_model.safetensors")
        assert weights["transformer_blocks.1.norm1.emb.class_embedder.weight"].shape == (16, D)


def test_what_is_no_decoder_of_this_kind_is_refused_by_name(pipeline, tmp_path):
    tiny_decoder(pipeline, "dit", D).save_pretrained(tmp_path / "dit")
    with pytest.raises(PenumbraError, match=r"dit: has no unet/. A decoder of this kind holds vae, unet, scheduler"):
        LatentDecoder.load(tmp_path / "dit")
    (tmp_path / "dit/transformer/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(PenumbraError, match=r"dit/transformer: cannot be loaded as a RepresentationDiT"):
        DitDecoder.load(tmp_path / "dit")


def test_parts_that_do_not_fit_each_other_are_refused(pipeline):
    decoder = tiny_decoder(pipeline, "dit", D)
    with pytest.raises(PenumbraError, match=r"x/transformer: turns 3 channels into 3, but the latents of x/vae have 4"):
        DitDecoder(decoder.vae, RepresentationDiT(D, **DIT | {"in_channels": 3}, out_channels=3), decoder.scheduler, "x")
    other = DDIMScheduler.from_config(decoder.scheduler.config, prediction_type="v_prediction")
    with pytest.raises(PenumbraError, match=r"x/scheduler: prediction_type = 'v_prediction'; must be epsilon"):
        DitDecoder(decoder.vae, decoder.network, other, "x")
