"""Probes of training: thirty steps of each family of networks, with the project's own losses and optimisers, at small sizes."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.probes.operations import normal, uniform

STEPS = 30


def _trained(build: Callable[[], nn.Module], loss: Callable[[nn.Module, int], Tensor], optimiser: Callable) -> Iterator[Tensor]:
    """The weights after STEPS steps of a network built from a fixed seed; `loss` is of the network and the number of the step."""
    torch.manual_seed(0)
    network = build().train()
    optimizer = optimiser([parameter for parameter in network.parameters() if parameter.requires_grad])
    for step in range(STEPS):
        optimizer.zero_grad()
        loss(network, step).backward()
        optimizer.step()
    yield from network.state_dict().values()


def _adamw(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, 1e-3, weight_decay=0.05, fused=True)


def _sgd(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, 0.05, 0.9, weight_decay=5e-4, nesterov=True)


def resnet() -> Iterator[Tensor]:
    """A detector with its head phi (train@*), channels last, and a classifier with a narrow stem, contiguous."""
    from penumbra.models.resnet import Detector
    from penumbra.train.losses.energy.loss import energy_losses

    sizes = {"architecture": "resnet18", "stem_stride": 2, "stem_pool": False, "classes": 6}
    labels = torch.cat([torch.arange(6), torch.full((6,), -1)])

    def loss(detector: Detector, step: int) -> Tensor:
        logits = detector.forward_with_features(uniform(f"images/{step}", 12, 3, 32, 32))[0]
        return energy_losses(logits, labels, detector.phi, 1.0, "sum_of_means")["loss"]

    yield from _trained(lambda: Detector(width=16, stem_kernel=3, phi_hidden=32, **sizes), loss, _sgd)
    yield from _trained(lambda: Detector(width=8, stem_kernel=1, phi_hidden=8, **sizes), loss, _sgd)


def encoder() -> Iterator[Tensor]:
    """A vision transformer by contrast (pretrain@encoder)."""
    from penumbra.models.moco import MoCoEncoder
    from penumbra.pretrain.encoder import Pair

    sizes = {"image_size": 32, "patch_size": 8, "width": 64, "depth": 2, "heads": 4, "projection_hidden": 128, "projection": 64}

    def loss(pair: Pair, step: int) -> Tensor:
        return pair(*(uniform(f"{view}/{step}", 16, 3, 32, 32) for view in "ab"), 0.2)

    yield from _trained(lambda: Pair(MoCoEncoder(**sizes)), loss, _adamw)


def rdm() -> Iterator[Tensor]:
    """A residual network on representations (pretrain@rdm)."""
    from penumbra.models.rdm import RDM
    from penumbra.pretrain.rdm import denoising_loss

    sizes = {"dimension": 64, "width": 256, "depth": 3, "time_width": 128, "timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0195}

    def loss(network: RDM, step: int) -> Tensor:
        return denoising_loss(network, normal(f"z/{step}", 64, 64), (torch.arange(64) * 37 + step) % 1000, normal(f"n/{step}", 64, 64))

    yield from _trained(lambda: RDM(**sizes), loss, _adamw)


def mage() -> Iterator[Tensor]:
    """A masked transformer on tokens and the autoencoder that makes these (pretrain@mage)."""
    from penumbra.models.mage import MAGE
    from penumbra.models.vqgan import VQGAN

    tokenizer = {"width": 32, "multipliers": [1, 2], "codes": 128, "code_width": 8}

    def reconstruction(vqgan: VQGAN, step: int) -> Tensor:
        images = uniform(f"images/{step}", 4, 3, 16, 16)
        latents = vqgan.encoder(images)
        codes = vqgan.lookup(vqgan.nearest(latents))
        return F.mse_loss(vqgan.decoder(latents + (codes - latents).detach()), images) + F.mse_loss(codes, latents.detach())

    def masked(network: MAGE, step: int) -> Tensor:
        ids = (torch.arange(8 * 16).view(8, 16) * 31 + step) % 128
        covered = torch.where((torch.arange(16) + step) % 3 == 0, network.mask_id, ids)
        kept = torch.arange(4, 16).expand(8, -1)
        return F.cross_entropy(network(covered, normal(f"z/{step}", 8, 64), kept).flatten(0, 1)[:, :128], ids.flatten())

    yield from _trained(lambda: VQGAN(**tokenizer), reconstruction, _adamw)
    yield from _trained(lambda: MAGE(8, 2, 64, 64, 2, 4, 64, 2, 4, 0.1, tokenizer), masked, _adamw)


def diffusion() -> Iterator[Tensor]:
    """An autoencoder, and a UNet that looks at a text (pretrain@diffusion, pretrain@inpainting)."""
    from penumbra.noise import generator
    from penumbra.pretrain import autoencoder, denoiser
    from penumbra.stage import Params

    p = Params(
        {"vae_channels": [16, 32], "latent_channels": 4, "unet_channels": [32, 64], "unet_layers": 1}
        | {"unet_attention": [False, True], "unet_head_width": 16, "text_width": 32}
    )

    def reconstruction(vae: nn.Module, step: int) -> Tensor:
        return autoencoder.reconstruction_loss(vae, uniform(f"images/{step}", 4, 3, 16, 16), 1e-3, generator("vae", step))

    def denoising(unet: nn.Module, step: int) -> Tensor:
        latents, text, noise = normal(f"z/{step}", 8, 4, 8, 8), normal(f"text/{step}", 8, 12, 32), normal(f"n/{step}", 8, 4, 8, 8)
        return F.mse_loss(unet(latents, (torch.arange(8) * 101 + step) % 1000, text, return_dict=False)[0], noise)

    yield from _trained(lambda: autoencoder.build(p, 16), reconstruction, _adamw)
    yield from _trained(lambda: denoiser.build_unet(p, 8), denoising, _adamw)


def decoder() -> Iterator[Tensor]:
    """Denoisers that are told a representation: a transformer, and a UNet with attention at each level (pretrain@dit, pretrain@ldm)."""
    from penumbra.pretrain import dit, ldm
    from penumbra.stage import Params

    latents, dimension = (4, 8, 8), 64

    def denoising(network: nn.Module, step: int, given: Callable[[Tensor], Tensor]) -> Tensor:
        z, noise, representation = normal(f"z/{step}", 8, *latents), normal(f"n/{step}", 8, *latents), normal(f"r/{step}", 8, dimension)
        return F.mse_loss(network(z, (torch.arange(8) * 101 + step) % 1000, given(representation), return_dict=False)[0], noise)

    sizes = Params({"patch_size": 2, "width": 64, "depth": 2, "heads": 4})
    yield from _trained(lambda: dit.build(sizes, latents, dimension), lambda network, step: denoising(network, step, lambda z: z), _adamw)
    sizes = Params({"channels": [32, 64], "layers": 1, "head_width": 16})
    yield from _trained(
        lambda: ldm.build(sizes, latents, dimension), lambda network, step: denoising(network, step, lambda z: z[:, None]), _adamw
    )


def clip() -> Iterator[Tensor]:
    """Images and texts by contrast (pretrain@clip)."""
    from penumbra.models.clip import CLIPConfig, CLIPModel
    from penumbra.pretrain.clip import contrastive_loss

    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {"vocab_size": 64, "max_position_embeddings": 12, "bos_token_id": 62, "eos_token_id": 63, "pad_token_id": 63}
    config = CLIPConfig(vision_config=sizes | {"image_size": 32, "patch_size": 8}, text_config=sizes | text, projection_dim=32)

    def loss(model: CLIPModel, step: int) -> Tensor:
        tokens = (torch.arange(16 * 12).view(16, 12) * 29 + step) % 62
        tokens[:, -1] = 63
        image = model.get_image_features(pixel_values=uniform(f"images/{step}", 16, 3, 32, 32) * 4 - 2).pooler_output
        text = model.get_text_features(input_ids=tokens).pooler_output
        return contrastive_loss(image, text, torch.arange(16) % 12, model.logit_scale.exp())

    yield from _trained(lambda: CLIPModel(config), loss, _adamw)


TRAININGS = {probe.__name__: probe for probe in (resnet, encoder, rdm, mage, diffusion, decoder, clip)}
