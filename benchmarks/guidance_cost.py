"""What guidance costs beside plain classifier-free guidance, at equal steps: `python benchmarks/guidance_cost.py` writes guidance_cost.csv.

    python benchmarks/guidance_cost.py              # networks of the sizes in params.yaml, on one CPU core
    python benchmarks/guidance_cost.py --full-size  # of Stable Diffusion 1.5 at 512 x 512, on a GPU: UNet bf16, decoder float32

Weights are random: cost does not depend on them. Times of all methods are taken in turn and the least of each counts, so
that a busy machine does not favour one. Memory is the peak of a process that runs one method alone.

A method is a row of METHODS: what it makes of a Setup, one batch of images.
"""

import argparse
import csv
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from ruamel.yaml import YAML
from torch import Tensor

from penumbra.guidance.ood import Probe, latent_log_f
from penumbra.guidance.partial import edited
from penumbra.guidance.semantic import Edit
from penumbra.guidance.tfg import Guidance, guided_sample
from penumbra.models.latent import AutoencoderKL, LatentDiffusion, UNet2DConditionModel
from penumbra.models.resnet import ResNet
from penumbra.noise import SampleNoise
from penumbra.pretrain.autoencoder import build as build_vae
from penumbra.pretrain.captions import build_tokenizer
from penumbra.pretrain.denoiser import build_text_encoder, build_unet
from penumbra.pretrain.diffusion import build_scheduler
from penumbra.runtime import setup
from penumbra.stage import Params
from penumbra.synthesize.good.draw import classifier_free, draw_images, laid_out
from penumbra.synthesize.latents import differentiated_at_once

PROMPT, OOD_PROMPT = "a high-quality image of a digit", "a high-quality image of a letter"
BANK = 1000  # ID training images
FULL_SIZE = {"unet_channels": (320, 640, 1280, 1280), "vae_channels": (128, 256, 512, 512), "classifier": 224, "classes": 100}
FIELDS = ["networks", "device", "method", "steps", "batch", "seconds_per_sample", "ratio", "peak_mib"]


@dataclass(frozen=True)
class Setup:
    """Frozen networks and what is asked of them."""

    model: LatentDiffusion
    probe: Probe
    steps: int
    batch: int

    @property
    def ids(self) -> list[str]:
        """Of the samples."""
        return [str(row) for row in range(self.batch)]


def small(p: Params, device: torch.device) -> tuple[LatentDiffusion, Probe]:
    """Networks of the sizes in params.yaml."""
    diffusion, classifier, size = p.pretrain.diffusion, p.pretrain.classifier, p.common.image_size
    tokenizer = build_tokenizer([PROMPT, OOD_PROMPT], diffusion.text_length)
    unet = build_unet(diffusion, size // 2 ** (len(diffusion.vae_channels) - 1))
    parts = build_vae(diffusion, size), unet, build_text_encoder(diffusion, tokenizer), tokenizer, build_scheduler(diffusion)
    names = ("architecture", "width", "stem_kernel", "stem_stride", "stem_pool")
    network = ResNet(**{name: classifier[name] for name in names}, classes=10).eval().requires_grad_(False)
    return laid_out(LatentDiffusion(*parts).to(device)), probe_of(network.to(device), size)


def full_size(p: Params, device: torch.device) -> tuple[LatentDiffusion, Probe]:
    """Networks of Stable Diffusion 1.5 and GOOD's ResNet-34, whose stem keeps the resolution; a small text encoder of the same width."""
    levels, diffusion = (
        len(FULL_SIZE["vae_channels"]),
        Params(p.pretrain.diffusion | {"text_width": 768, "text_heads": 12, "text_length": 77}),
    )
    tokenizer = build_tokenizer([PROMPT, OOD_PROMPT], diffusion.text_length)
    with torch.device(device):
        unet = UNet2DConditionModel(sample_size=64, block_out_channels=FULL_SIZE["unet_channels"], cross_attention_dim=768)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=FULL_SIZE["vae_channels"],
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
        network = ResNet("resnet34", 64, 3, 1, False, FULL_SIZE["classes"])
    parts = vae, unet, build_text_encoder(diffusion, tokenizer), tokenizer, build_scheduler(diffusion)
    model = LatentDiffusion(*parts).to(device)
    if device.type == "cuda":
        model.unet.to(torch.bfloat16)
        model.text_encoder.to(torch.bfloat16)
    return laid_out(model), probe_of(network.to(device).eval().requires_grad_(False), FULL_SIZE["classifier"])


def probe_of(classifier: ResNet, size: int) -> Probe:
    """The classifier with a random bank."""
    bank = torch.rand(BANK, classifier.fc.in_features, device=classifier.fc.weight.device)
    return Probe(classifier, F.normalize(bank, dim=1), k=50, size=size)


def sampled(s: Setup, strength: float) -> Tensor:
    """uint8 pixels of a batch, guided at that strength by energy and k-NN distance together."""
    model, device = s.model, s.model.device
    eps = classifier_free(model, model.embed([PROMPT] * s.batch), model.embed([""]), 3.0)
    log_f = latent_log_f(s.probe, model.decode, 1.0, 10.0, differentiated_at_once(model))
    noise = {purpose: SampleNoise(0, purpose, s.ids) for purpose in ("start", "sampler", "smoothing")}
    guidance = Guidance(rho=strength, mu=strength, gamma=0.1, eta=1.0)
    start = noise["start"].normal(*model.latent_shape).to(device)
    latents = guided_sample(eps, log_f, start, model.levels(s.steps), guidance, noise["sampler"], noise["smoothing"])
    return draw_images(model, latents, s.probe.size)


def edited_images(s: Setup) -> Tensor:
    """uint8 pixels of a batch of ID images that SONA takes through all steps."""
    model, shape = s.model, (s.batch, *s.model.latent_shape)
    clean = model.encode(torch.zeros(s.batch, 3, *model.image_size, device=model.device))
    conditions = model.embed([text for text in ("", PROMPT, OOD_PROMPT) for _ in s.ids]).unflatten(0, (3, s.batch))
    noise = SampleNoise(0, "forward", s.ids).normal(*shape[1:]).to(model.device)
    stops, edit = torch.full(shape[:1], s.steps), Edit(scale=1e-6, share=0.2)
    return draw_images(model, edited(model.eps, clean, noise, stops, conditions, edit, model.levels(s.steps)), s.probe.size)


METHODS: dict[str, Callable[[Setup], Tensor]] = {
    "plain": lambda s: sampled(s, 0.0),
    "good": lambda s: sampled(s, 1e-6),  # as dear as any strength; random networks do not bear more
    "sona": edited_images,
}


def seconds(run: Callable[[], Tensor], device: torch.device) -> float:
    """Of one run: of the processor on a CPU, on which others may work too; by the clock on a GPU."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    run()  # ends on the CPU, so a GPU has finished
    return clock() - started


def peak_mib(device: torch.device) -> float:
    """Of this process, or of its GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()  # getrusage would count what the parent held when it forked
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def main() -> None:
    """Measure the methods in turn, and the memory of each in a child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, help="samples at a time; 64, or 8 with --full-size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--alone", choices=METHODS, help=argparse.SUPPRESS)  # this is a child process
    args = parser.parse_args()
    device, batch = setup(), args.batch or (8 if args.full_size else 64)
    p = Params(YAML(typ="safe").load(Path(__file__).parent.parent / "params.yaml"))
    torch.manual_seed(0)
    s = Setup(*(full_size if args.full_size else small)(p, device), args.steps, batch)
    if args.alone:
        METHODS[args.alone](s)
        print(peak_mib(device))
        return
    least = dict.fromkeys(METHODS, float("inf"))
    for _ in range(args.rounds + 1):  # the first warms up
        for name, method in METHODS.items():
            least[name] = min(least[name], seconds(lambda method=method: method(s), device))
    networks = "full" if args.full_size else "small"
    old = list(csv.DictReader(args.output.open())) if args.output.exists() else []
    rows = [row for row in old if row["networks"] != networks]
    for name in METHODS:
        child = [sys.executable, __file__, "--alone", name, "--steps", str(args.steps), "--batch", str(batch)]
        child += ["--full-size"] if args.full_size else []
        peak = float(subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout)
        values = (networks, device.type, name, args.steps, batch, f"{least[name] / batch:.4g}", f"{least[name] / least['plain']:.2f}")
        rows.append(dict(zip(FIELDS, (*values, round(peak)), strict=True)))
    with args.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
