"""pretrain@ldm and pretrain@dit on real files: what is learnt, dropout of representations, resumption, samples, the import."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from killed_training import killed
from penumbra.artifacts.images import ImageWriter, encode, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.models.latent import LatentDiffusion
from penumbra.models.moco import MoCoEncoder
from penumbra.noise import SampleNoise, generator
from penumbra.pretrain import dit, ldm
from penumbra.pretrain.decoder import training as decoding
from penumbra.stage import Params, Stage
from tiny_decoder import KINDS, SIZES, tiny_decoder
from tiny_pipeline import write_tiny_pipeline

D, SIZE = 6, 16
PROGRAMS = {"ldm": ldm, "dit": dit}
PARAMS = {
    "pipeline": None,
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "ema_decay": 0.9,
    "warmup_epochs": 0,
    "drop_representation": 0.3,
    "validate_every": 2,
    "sample_steps": 2,
    "sample_guidance": 2.0,
}
ENCODER = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 1, "heads": 2, "projection_hidden": 16, "projection": D}


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """Images of one brightness each, an encoder, and a pipeline of their size."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    torch.manual_seed(0)
    MoCoEncoder(**ENCODER).eval().save_pretrained(folder / "encoder")
    reads = {"models/diffusion": write_tiny_pipeline(folder / "diffusion", SIZE), "models/encoder": folder / "encoder"}
    for name, count in (("train", 24), ("val", 10), ("world", 8)):
        reads[f"images/{name}"] = folder / f"{name}.parquet"
        with ImageWriter(reads[f"images/{name}"], {"sample_id": pa.string()}, {}) as writer:
            for index in range(count):
                pixels = np.clip(draws.uniform(20, 230) + draws.normal(0, 8, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
                writer.add(encode(pixels), sample_id=f"{name}/{index}")
    return reads


def make_stage(reads, folder: Path, kind: str, **changes) -> Stage:
    params = Params({"common": {"seed": 0}, "pretrain": {kind: PARAMS | SIZES[kind] | changes}})
    return Stage("pretrain", kind, params, {}, reads, {f"models/{kind}": folder / "result"}, folder / "scratch")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def trained(reads, kind, tmp_path_factory):
    """The result of one whole training."""
    stage = make_stage(reads, tmp_path_factory.mktemp("trained"), kind)
    PROGRAMS[kind].main(stage)
    return stage.write()


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_it_paints_what_the_representation_says_and_more_so_under_guidance(reads, kind, tmp_path):
    """Learnt from dark and bright latents, told by the sign: from one noise either sign leads its own way."""
    decoder, z = tiny_decoder(reads["models/diffusion"], kind, 1), torch.randn(96, 1, generator=generator(0)).sign()
    data = decoding.Pictures(z.view(-1, 1, 1, 1).expand(-1, 4, 8, 8).contiguous(), z)
    p = Params(PARAMS | {"epochs": 30, "learning_rate": 0.01, "drop_representation": 0.1, "validate_every": 30, "ema_decay": 0.95})
    history = decoding.train_decoder(decoder, data, data, p, 0, "test", tmp_path)
    assert history.rows[-1]["loss"] < 0.5 * history.rows[0]["loss"]
    bright, noise = torch.ones(16, 1), torch.randn(16, 4, 8, 8, generator=generator(1))

    def apart(guidance: float) -> torch.Tensor:
        up, down = (decoder.latents(sign * bright, noise, 10, guidance).mean((1, 2, 3)) for sign in (1, -1))
        return up - down

    assert (apart(1.0) > 0.1).all() and apart(2.0).mean() > 1.2 * apart(1.0).mean() and apart(0.0).abs().max() < 1e-5


def test_the_loss_is_the_error_of_the_noise_and_dropped_representations_are_zeros(reads, kind):
    decoder, seen = tiny_decoder(reads["models/diffusion"], kind, D), []
    decoder.eps = lambda z, t, given: seen.append((z, t, given)) or torch.zeros_like(z)
    latents, z = torch.randn(3, 4, 8, 8, generator=generator(0)), torch.randn(3, D, generator=generator(1))
    rows, t, noise = torch.tensor([2, 0]), torch.tensor([3, 700]), torch.randn(2, 4, 8, 8, generator=generator(2))
    loss = decoding.decoding_loss(decoder, decoding.Pictures(latents, z), rows, t, noise, torch.tensor([False, True]))
    assert loss.item() == pytest.approx(noise.square().mean().item())
    ((z_t, steps, given),) = seen
    abar = decoder.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    torch.testing.assert_close(z_t, abar.sqrt() * latents[rows] + (1 - abar).sqrt() * noise)
    assert torch.equal(steps, t) and torch.equal(given[0], z[2]) and not given[1].any()


def test_the_share_that_is_dropped_is_that_of_the_parameters_and_validation_drops_none(reads, kind):
    decoder, seen = tiny_decoder(reads["models/diffusion"], kind, D), []
    weight = torch.nn.Parameter(torch.ones(()))
    decoder.eps = lambda z, t, given: seen.append(given) or weight * z
    data = decoding.Pictures(torch.zeros(2000, 4, 1, 1), torch.ones(2000, D))
    average = decoding.MovingAverage(torch.nn.Linear(1, 1), 0.9)
    average.update = lambda network: None
    optimizer = torch.optim.SGD([weight], 0.0)
    decoding.train_epoch(decoder, average, data, optimizer, 0, Params(PARAMS | {"batch_size": 500}), generator(0))
    dropped = (torch.cat(seen) == 0).all(1)
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.04) and (torch.cat(seen)[~dropped] == 1).all()
    seen.clear()
    decoding.validation_loss(decoder, data, 500, generator(0))
    assert len(torch.cat(seen)) == 4 * 2000 and torch.cat(seen).all()


def test_the_autoencoder_stays_and_the_result_is_an_average_of_all_steps(reads, kind, trained, tmp_path, monkeypatch):
    start, decoder = LatentDiffusion.load(reads["models/diffusion"]), KINDS[kind][0].load(trained)
    assert all(torch.equal(value, decoder.vae.state_dict()[name]) for name, value in start.vae.state_dict().items())
    live, update = [], decoding.MovingAverage.update

    def listening(average, network):
        live.append(next(network.parameters()).detach().clone())
        update(average, network)

    monkeypatch.setattr(decoding.MovingAverage, "update", listening)
    torch.manual_seed(0)
    average = next(KINDS[kind][1](Params(SIZES[kind]), (4, 8, 8), D).parameters()).detach().clone()
    PROGRAMS[kind].main(make_stage(reads, tmp_path, kind))
    for number, weight in enumerate(live, start=1):
        decay = min(PARAMS["ema_decay"], (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(next(decoder.network.parameters()), average)
    assert len(live) == 3 * 4  # 32 images of train and world in batches of 8


def test_a_killed_training_resumes_to_the_same_bytes(reads, kind, trained, tmp_path, monkeypatch):
    stage = make_stage(reads, tmp_path, kind)
    calls = killed(monkeypatch, decoding, "train_epoch", 2, lambda: PROGRAMS[kind].main(stage))
    assert not stage.write().exists()
    PROGRAMS[kind].main(stage)
    assert len(calls) == 4  # nothing but the interrupted epoch was begun twice
    assert contents(stage.write()) == contents(trained)


def test_samples_are_validation_images_what_is_made_of_them_and_of_nothing(reads, kind, trained):
    rows, pixels = read_table(trained / "samples.parquet").to_pydict(), read_pixels(trained / "samples.parquet")
    assert rows["kind"] == ["original"] * 8 + ["decoded"] * 8 + ["drawn"] * 8
    ids = [f"val/{index}" for index in range(8)]
    assert rows["source_id"] == [*ids, *ids, *[""] * 8]
    originals = read_pixels(reads["images/val"])[:8]
    assert (pixels[:8] == originals).all()
    decoder, encoder = KINDS[kind][0].load(trained), MoCoEncoder.from_pretrained(reads["models/encoder"])
    noise = SampleNoise(0, f"pretrain/{kind}/samples", ids).normal(4, 8, 8)
    z = encoder.represent(torch.from_numpy(originals).permute(0, 3, 1, 2).float() / 255)
    for part, given in ((pixels[8:16], z), (pixels[16:], torch.zeros(8, D))):
        made = decoder.decode(decoder.latents(given, noise, 2, 2.0)).clamp(0, 1)
        assert (part == (255 * made).round().permute(0, 2, 3, 1).byte().numpy()).all()
    provenance = json.loads((trained / "penumbra.json").read_text())
    assert provenance["params"]["pretrain"][kind] == PARAMS | SIZES[kind] and read_provenance(trained / "samples.parquet") == provenance


def test_it_paints_images_of_the_size_of_the_experiments_whatever_size_the_pipeline_draws(reads, kind, tmp_path):
    other = reads | {"models/diffusion": write_tiny_pipeline(tmp_path / "larger", image_size=32, prediction="v_prediction")}
    stage = make_stage(other, tmp_path, kind, epochs=1)
    PROGRAMS[kind].main(stage)
    assert KINDS[kind][0].load(stage.write()).latent_shape == (4, SIZE // 2, SIZE // 2)
    assert read_pixels(stage.write() / "samples.parquet").shape[1:] == (SIZE, SIZE, 3)


def test_a_directory_is_imported_as_it_is_and_another_encoder_is_refused(reads, kind, tmp_path):
    for dimension in (D, D + 1):
        tiny_decoder(reads["models/diffusion"], kind, dimension).save_pretrained(tmp_path / f"{dimension}")
    stage = make_stage(reads, tmp_path, kind, pipeline=str(tmp_path / f"{D + 1}"))
    with pytest.raises(PenumbraError, match=rf"{D + 1}: is conditioned on 7 values, and representations of pretrain.encoder have 6"):
        PROGRAMS[kind].main(stage)
    assert not stage.write().exists()
    stage = make_stage(reads, tmp_path, kind, pipeline=str(tmp_path / f"{D}"))
    PROGRAMS[kind].main(stage)
    loaded, original = (KINDS[kind][0].load(path).state_dict() for path in (stage.write(), tmp_path / f"{D}"))
    assert all(torch.equal(value, original[name]) for name, value in loaded.items())
    assert not (stage.write() / "history.csv").exists() and (stage.write() / "samples.parquet").exists()
