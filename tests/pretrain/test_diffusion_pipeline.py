"""pretrain@diffusion on real files: what diffusers makes of the result, resumption, early stopping, the import."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from killed_training import killed
from penumbra import training
from penumbra.artifacts.images import ImageWriter, encode, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.models.latent import LatentDiffusion
from penumbra.pretrain import autoencoder, denoiser, diffusion, pictures
from penumbra.stage import Params, Stage
from tiny_pipeline import write_tiny_pipeline

from diffusers import StableDiffusionPipeline  # isort: skip

PARAMS = {
    "pipeline": None,
    "vae_channels": [8, 8],
    "latent_channels": 3,
    "vae_epochs": 2,
    "vae_batch_size": 16,
    "vae_learning_rate": 0.01,
    "vae_kl": 0.0001,
    "unet_channels": [8, 16],
    "unet_layers": 1,
    "unet_attention": [False, True],
    "unet_head_width": 4,
    "text_width": 8,
    "text_layers": 1,
    "text_heads": 2,
    "text_length": 12,
    "templates": ["{}", "a photo of {}"],
    "caption_dropout": 0.3,
    "timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "ema_decay": 0.9,
    "warmup_epochs": 1,
    "validate_every": 1,
    "patience": 5,
    "sample_steps": 2,
    "sample_guidance": 2.0,
}
WORDS = ("digit zero", "digit one")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Dark and bright ID images (captioned in the train file alone) and captioned ones of the world."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    reads = {}
    for name, count in (("train", 24), ("val", 8), ("world", 8)):
        reads[f"images/{name}"] = folder / f"{name}.parquet"
        columns = {"label": pa.int64(), "class": pa.string(), "caption": pa.string()}
        with ImageWriter(reads[f"images/{name}"], columns, {"classes": ["0", "1"]}) as writer:
            for index in range(count):
                label = index % 2
                pixels = np.clip(60 + 120 * label + draws.normal(0, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
                caption = {"train": WORDS[label], "val": "", "world": "" if index == 3 else f"the letter {'CD'[label]}"}[name]
                row = {"label": -1 if name == "world" else label, "class": f"{'CD'[label]}" if name == "world" else str(label)}
                writer.add(encode(pixels), caption=caption, **row)
    return reads


@pytest.fixture
def make_stage(images, tmp_path):
    def make(place: str, **changes) -> Stage:
        params = Params({"common": {"seed": 0, "image_size": 8}, "pretrain": {"diffusion": PARAMS | changes}})
        return Stage("pretrain", "diffusion", params, {}, images, {"models/diffusion": tmp_path / place}, tmp_path / f"{place}-scratch")

    return make


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """The result of one whole training."""
    folder = tmp_path_factory.mktemp("trained")
    params = Params({"common": {"seed": 0, "image_size": 8}, "pretrain": {"diffusion": PARAMS}})
    diffusion.main(Stage("pretrain", "diffusion", params, {}, images, {"models/diffusion": folder / "whole"}, folder / "scratch"))
    return folder / "whole"


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_official_pipeline_loads_it_runs_and_predicts_the_same_noise(trained):
    official = StableDiffusionPipeline.from_pretrained(trained, safety_checker=None)
    official.set_progress_bar_config(disable=True)
    image = official("digit one", num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(0)).images
    assert image.shape == (1, 8, 8, 3)
    assert np.isfinite(image).all()
    assert type(official.scheduler).__name__ == "DDIMScheduler"
    assert (official.scheduler.config.steps_offset, official.scheduler.config.set_alpha_to_one) == (1, False)
    model = LatentDiffusion.load(trained)
    condition, unconditional = official.encode_prompt("a photo of digit one", "cpu", 1, True)
    z = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = official.unet(z, 321, torch.cat([condition, unconditional])).sample
    torch.testing.assert_close(model.eps(z, 321, model.embed(["a photo of digit one", ""])), expected)


def test_the_losses_fall_and_latents_have_unit_deviation(make_stage):
    stage = make_stage("longer", epochs=8, vae_epochs=8)
    diffusion.main(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    vae, unet = (history[history["model"] == name].reset_index() for name in ("vae", "unet"))
    assert vae["val_error"].iloc[-1] < 0.7 * vae["val_error"].iloc[0]
    assert unet["loss"].iloc[-1] < 0.7 * unet["loss"].iloc[0]
    assert unet["val_loss"].min() < 0.8 * unet["val_loss"].iloc[0]
    model = LatentDiffusion.load(stage.write())
    trained_on = np.concatenate([read_pixels(stage.read(f"images/{name}")) for name in ("train", "world")])
    assert model.encode(torch.from_numpy(trained_on).permute(0, 3, 1, 2).float() / 255).std().item() == pytest.approx(1, abs=0.01)
    assert not list((stage.write()).rglob("*.bin"))


def test_samples_are_of_every_id_caption_of_the_world_and_unconditional(trained):
    captions_of_samples = read_table(trained / "samples.parquet")["caption"].to_pylist()
    assert {name: captions_of_samples.count(name) for name in dict.fromkeys(captions_of_samples)} == {
        **dict.fromkeys(WORDS, diffusion.SAMPLES),
        "D": 1,
        "the letter C": 1,
        "the letter D": 1,
        "": 2 * diffusion.SAMPLES,
    }
    provenance = json.loads((trained / "penumbra.json").read_text())
    assert provenance["stage"] == "pretrain@diffusion"
    assert provenance["params"]["pretrain"]["diffusion"] == PARAMS
    assert read_provenance(trained / "samples.parquet") == provenance


def test_drawing_asks_for_the_caption_by_classifier_free_guidance_as_diffusers_does(trained):
    model = LatentDiffusion.load(trained)
    noise = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    drawn = pictures.draw(model, ["digit zero", "digit one"], noise, 4, 2.5)
    official = StableDiffusionPipeline.from_pretrained(trained, safety_checker=None)
    official.set_progress_bar_config(disable=True)
    call = {"latents": noise, "num_inference_steps": 4, "guidance_scale": 2.5, "output_type": "pt"}
    torch.testing.assert_close(drawn, official(["digit zero", "digit one"], **call).images, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("loop", "epoch"), [(autoencoder, 2), (denoiser, 2)])
def test_a_killed_training_resumes_to_the_same_bytes(make_stage, trained, monkeypatch, loop, epoch):
    resumed = make_stage("killed")
    calls = killed(monkeypatch, loop, "train_epoch", epoch, lambda: diffusion.main(resumed))
    assert not resumed.write().exists()
    diffusion.main(resumed)
    assert len(calls) == 3  # nothing but the interrupted epoch was begun twice
    assert contents(resumed.write()) == contents(trained)


class Scripted:
    """Validation losses by the book, and the weights that each of them saw."""

    def __init__(self, losses):
        self.losses, self.seen = losses, []

    def __call__(self, networks, *_):
        self.seen.append({name: tensor.clone() for name, tensor in networks.state_dict().items()})
        return self.losses[len(self.seen) - 1]


def test_training_stops_after_its_patience_and_keeps_the_best_averages(make_stage, monkeypatch):
    scripted = Scripted([5.0, 3.0, 4.0, 3.0, 9.0])
    monkeypatch.setattr(denoiser, "validation_loss", scripted)
    stage = make_stage("stopped", epochs=20, validate_every=2, patience=2, vae_epochs=1)
    diffusion.main(stage)
    assert len(scripted.seen) == 4  # 3.0 twice is no improvement
    history = pd.read_csv(stage.write() / "history.csv")
    assert history["val_loss"].dropna().tolist() == [5.0, 3.0, 4.0, 3.0]
    assert history["epoch"].iloc[-1] == 8
    model = LatentDiffusion.load(stage.write())
    unet = {name.removeprefix("unet."): tensor for name, tensor in scripted.seen[1].items() if name.startswith("unet.")}
    assert all(torch.equal(tensor, unet[name]) for name, tensor in model.unet.state_dict().items())
    assert not all(torch.equal(tensor, scripted.seen[2][f"unet.{name}"]) for name, tensor in unet.items())


def test_early_stopping_itself_survives_a_kill(make_stage, monkeypatch):
    losses = [5.0, 3.0, 4.0, 3.5, 9.0]
    kept = []
    for once in (False, True):
        stage = make_stage(f"killed-{once}", epochs=5, patience=2, vae_epochs=1)
        scripted = Scripted(losses)
        with monkeypatch.context() as patch:
            patch.setattr(denoiser, "validation_loss", scripted)
            patch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
            if once:
                train_epoch = denoiser.train_epoch

                def dying(*args, train_epoch=train_epoch, scripted=scripted):
                    if len(scripted.seen) == 3 and not kept[1:]:
                        kept.append("killed")
                        raise KeyboardInterrupt
                    return train_epoch(*args)

                patch.setattr(denoiser, "train_epoch", dying)
                with pytest.raises(KeyboardInterrupt):
                    diffusion.main(stage)
            diffusion.main(stage)
        kept.append({name: content for name, content in contents(stage.write()).items() if name.endswith((".safetensors", ".csv"))})
    assert kept[0] == kept[2]
    assert len(scripted.seen) == 4


def test_validation_sees_id_images_with_the_captions_of_their_class_and_equal_noise(make_stage, monkeypatch):
    seen, losses = [], denoiser.validation_loss

    def spying(networks, data, abar, batch_size, draws):
        seen.append((data, draws.get_state()))
        return losses(networks, data, abar, batch_size, draws)

    monkeypatch.setattr(denoiser, "validation_loss", spying)
    stage = make_stage("validated", vae_epochs=1)
    diffusion.main(stage)
    (data, first), (_, second) = seen
    assert torch.equal(first, second)
    tokenizer = LatentDiffusion.load(stage.write()).tokenizer
    wordings = [[tokenizer.decode(ids, skip_special_tokens=True) for ids in row] for row in data.tokens[data.captions]]
    assert wordings == [[WORDS[index % 2], f"a photo of {WORDS[index % 2]}"] for index in range(8)]


def test_a_share_of_the_captions_is_dropped_and_all_templates_are_used(make_stage, monkeypatch):
    seen, loss = [], denoiser.denoising_loss

    def spying(networks, z0, tokens, *rest):
        if networks["unet"].training:
            seen.extend(tokens.tolist())
        return loss(networks, z0, tokens, *rest)

    monkeypatch.setattr(denoiser, "denoising_loss", spying)
    stage = make_stage("dropped", epochs=8, vae_epochs=1)
    diffusion.main(stage)
    tokenizer = LatentDiffusion.load(stage.write()).tokenizer
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in seen]
    assert len(texts) == 8 * 32
    assert 0.2 < texts.count("") / len(texts) < 0.4
    photos = sum(text.startswith("a photo of ") for text in texts)
    assert 0.35 < photos / (len(texts) - texts.count("")) < 0.65
    assert {text.removeprefix("a photo of ") for text in texts} == {"", *WORDS, "d", "the letter c", "the letter d"}


def test_attention_heads_have_the_width_that_is_asked_for():
    unet = denoiser.build_unet(Params(PARAMS), 4)
    attention = unet.down_blocks[1].attentions[0].transformer_blocks[0].attn1
    assert (attention.heads, attention.inner_dim // attention.heads) == (16 // 4, 4)


def test_a_published_directory_is_imported_as_it_is(make_stage, tmp_path):
    published = write_tiny_pipeline(tmp_path / "published")
    stage = make_stage("imported", pipeline=str(published))
    diffusion.main(stage)
    loaded, original = LatentDiffusion.load(stage.write()), LatentDiffusion.load(published)
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert loaded.tokens(["a cat"]).equal(original.tokens(["a cat"]))
    assert loaded.levels(7) == original.levels(7)
    assert sorted({path.parts[0] for path in map(Path, contents(stage.write()))}) == sorted(
        ["model_index.json", "penumbra.json", "samples.parquet", "scheduler", "text_encoder", "tokenizer", "unet", "vae"]
    )
    StableDiffusionPipeline.from_pretrained(stage.write(), safety_checker=None)
    weights = [content for name, content in contents(stage.write()).items() if "/" in name]
    assert not any(str(tmp_path).encode() in content for content in weights)


def test_an_import_that_does_not_fit_leaves_nothing(make_stage, tmp_path):
    published = write_tiny_pipeline(tmp_path / "published")
    shutil.rmtree(published / "vae")
    stage = make_stage("imported", pipeline=str(published))
    with pytest.raises(PenumbraError, match="has no vae/"):
        diffusion.main(stage)
    assert not stage.write().exists()


def test_a_caption_longer_than_the_prompts_is_an_error_before_the_unet_is_trained(make_stage):
    with pytest.raises(PenumbraError, match="tokens; the text encoder of pretrain.diffusion reads 3. Shorten it"):
        diffusion.main(make_stage("short", text_length=3, vae_epochs=1))
