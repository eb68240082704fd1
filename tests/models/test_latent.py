"""A pipeline taken apart: its DDIM levels, diffusers' own results, gradients, checkpointing, and what a bad directory is told."""

import json
import logging
import shutil

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models import latent
from penumbra.models.latent import LatentDiffusion
from tiny_pipeline import LENGTH, write_tiny_pipeline

from diffusers import DDIMScheduler, StableDiffusionPipeline  # isort: skip

MULTIPLIERS = [0.35481315, 0.71645919, 1.17905808, 1.74966958]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_tiny_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture(scope="module")
def model(directory):
    return LatentDiffusion.load(directory)


@pytest.fixture
def broken(directory, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(directory, tmp_path / "broken")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def latents(model, batch, seed=0):
    return torch.randn(batch, *model.latent_shape, generator=torch.Generator().manual_seed(seed))


def test_the_levels_are_those_of_fixture_t1(model):
    levels = model.levels(4)
    assert levels.timesteps == (751, 501, 251, 1)
    assert levels.abar == pytest.approx([0.05571903, 0.27499907, 0.67215147, 0.99829603], rel=1e-6)
    ratio = torch.tensor(levels.abar) / torch.tensor(levels.abar_prev)
    assert ratio.tolist() == pytest.approx([0.20261534, 0.40913258, 0.67329875, 0.9991453], rel=1e-5)
    assert (len(levels) * ratio / ratio.sum()).tolist() == pytest.approx(MULTIPLIERS, rel=1e-5)
    assert levels.abar_prev[-1] == pytest.approx(1 - 0.00085)


@pytest.mark.parametrize("steps", [0, 1001])
def test_levels_more_than_the_schedule_is_an_error(model, steps):
    with pytest.raises(PenumbraError, match=f"steps = {steps}: must be in 1..1000"):
        model.levels(steps)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_denoising_by_eps_over_the_levels_ends_where_the_official_pipeline_does(tmp_path, prediction):
    write_tiny_pipeline(tmp_path / "tiny", prediction=prediction)
    model = LatentDiffusion.load(tmp_path / "tiny")
    z = start = latents(model, 2)
    conditions = model.embed(["", "", "a cat", "dog"])
    levels = model.levels(5)
    for t, abar, abar_prev in zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True):
        unconditional, conditional = model.eps(torch.cat([z, z]), t, conditions).chunk(2)
        eps = unconditional + 3 * (conditional - unconditional)
        z0 = (z - (1 - abar) ** 0.5 * eps) / abar**0.5
        z = abar_prev**0.5 * z0 + (1 - abar_prev) ** 0.5 * eps
    official = StableDiffusionPipeline.from_pretrained(tmp_path / "tiny", safety_checker=None)
    official.set_progress_bar_config(disable=True)
    call = {"latents": start, "num_inference_steps": 5, "guidance_scale": 3.0, "output_type": "pt"}
    expected = official(["a cat", "dog"], height=16, width=16, **call).images
    torch.testing.assert_close(model.decode(z).clamp(0, 1), expected, rtol=1e-3, atol=1e-4)


def test_steps_may_differ_within_a_batch(model):
    z, condition = latents(model, 2), model.embed(["a", "b"])
    both = model.eps(z, torch.tensor([901, 3]), condition)
    for row, t in enumerate((901, 3)):
        torch.testing.assert_close(both[row : row + 1], model.eps(z[row : row + 1], t, condition[row : row + 1]))


def test_latents_are_scaled_and_sampled_as_diffusers_documents(model):
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    noise = latents(model, 2)
    posterior = model.vae.encode(2 * images - 1).latent_dist
    torch.testing.assert_close(model.encode(images), 0.5 * posterior.mean)
    torch.testing.assert_close(model.encode(images, noise), 0.5 * (posterior.mean + posterior.std * noise))
    expected = (model.vae.decode(model.encode(images) / 0.5).sample + 1) / 2
    torch.testing.assert_close(model.decode(model.encode(images)), expected)


def test_gradients_reach_the_latents_through_unet_and_decoder(model):
    condition, weight = model.embed(["a"]), torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def value(z):
        return (model.decode(z - model.eps(z, 400, condition)) * weight).sum().double()

    z = latents(model, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(value(z), z)
    direction = latents(model, 1, seed=2)
    with torch.no_grad():
        slope = (value(z + 1e-2 * direction) - value(z - 1e-2 * direction)) / 2e-2
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-2)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())


def kept_bytes(model):
    """Gradient of a loss through the UNet by the latents, and the bytes that the backward pass keeps."""
    z = latents(model, 4).requires_grad_()
    condition = model.embed(["a", "b", "c", ""])
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = (z - model.eps(z, 400, condition)).square().mean()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    total = sum(tensor.untyped_storage().nbytes() for pointer, tensor in storages.items() if pointer not in weights)
    return torch.autograd.grad(loss, z)[0], total


def test_checkpointing_keeps_fewer_activations_of_a_frozen_network_and_gives_the_same_gradient(directory):
    model = LatentDiffusion.load(directory)
    expected, before = kept_bytes(model)
    model.checkpoint_gradients()
    gradient, after = kept_bytes(model)
    assert not model.training
    assert torch.equal(gradient, expected)
    assert after < before / 3


def test_prompts_that_are_repeated_or_empty_have_one_condition_each(model):
    conditions = model.embed(["a cat", "", "a cat"])
    assert conditions.shape == (3, LENGTH, 16)
    assert torch.equal(conditions[0], conditions[2])
    assert not torch.allclose(conditions[0], conditions[1])
    assert torch.equal(conditions[1], model.embed([""])[0])
    assert model.embed_pooled(["a cat", ""]).shape == (2, 16)


def test_many_texts_are_embedded_a_part_at_a_time(model, monkeypatch):
    texts, sizes = ["a", "b", "cat", "", "dog"], []
    whole = model.embed_pooled(texts)
    monkeypatch.setattr(latent, "TEXTS", 2)
    handle = model.text_encoder.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    parts = model.embed_pooled(texts)
    handle.remove()
    torch.testing.assert_close(parts, whole)
    assert sizes == [2, 2, 1]


def test_a_prompt_over_the_limit_is_an_error_and_one_at_the_limit_is_not(model, capfd):
    assert model.tokens(["a" * (LENGTH - 2)]).shape == (1, LENGTH)
    with pytest.raises(PenumbraError, match=f"has {LENGTH + 1} tokens; the text encoder .* reads {LENGTH}. Shorten it"):
        model.tokens(["b", "a" * (LENGTH - 1)])
    assert "Token indices" not in "".join(capfd.readouterr())


def test_saved_and_loaded_again_it_is_the_same_to_the_byte_and_to_the_official_pipeline(model, directory, tmp_path):
    for name in ("one", "two"):
        LatentDiffusion.load(directory).save_pretrained(tmp_path / name)
        model.tokens(["a"])  # leaves its padding in the tokenizer
    model.save_pretrained(tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
    assert not any(str(directory).encode() in (tmp_path / "one" / file).read_bytes() for file in files)
    ours, theirs = (json.loads((folder / "model_index.json").read_text()) for folder in (tmp_path / "one", directory))
    assert {key: ours[key] for key in ours.keys() - {"_name_or_path"}} == {key: theirs[key] for key in theirs.keys() - {"_name_or_path"}}
    StableDiffusionPipeline.from_pretrained(tmp_path / "one", safety_checker=None)


def test_loading_says_nothing_and_leaves_the_libraries_as_they_were(directory, capfd):
    import diffusers
    import transformers

    before = [
        (library.logging.get_verbosity(), library.logging.is_progress_bar_enabled()) for library in (diffusers.utils, transformers.utils)
    ]
    LatentDiffusion.load(directory)
    after = [
        (library.logging.get_verbosity(), library.logging.is_progress_bar_enabled()) for library in (diffusers.utils, transformers.utils)
    ]
    assert "".join(capfd.readouterr()) == ""
    assert before == after
    assert logging.getLogger("transformers").isEnabledFor(logging.ERROR)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component_is_named(broken, part):
    shutil.rmtree(broken / part)
    with pytest.raises(PenumbraError, match=f"has no {part}/"):
        LatentDiffusion.load(broken)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_weights_that_are_only_a_pickle_are_refused(broken, part):
    (file,) = (broken / part).glob("*.safetensors")
    file.rename(file.with_suffix(".bin"))
    with pytest.raises(PenumbraError, match=rf"{part}: has its weights as a pickle \(.bin\)"):
        LatentDiffusion.load(broken)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_weights_that_are_absent_from_the_file_are_an_error_not_random(broken, part):
    from safetensors.torch import load_file, save_file

    (file,) = (broken / part).glob("*.safetensors")
    state = load_file(file)
    gone = sorted(state)[0]
    save_file({name: tensor for name, tensor in state.items() if name != gone}, file, {"format": "pt"})
    with pytest.raises(PenumbraError, match=rf"{part}: its file lacks the weights .*{gone.split('.')[-1]} \(1 in all\)"):
        LatentDiffusion.load(broken)


@pytest.mark.parametrize("part", ["vae/config.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer/tokenizer.json"])
def test_a_file_that_is_not_what_it_should_be_is_named(broken, part):
    (broken / part).write_text("no")
    with pytest.raises(PenumbraError, match=f"{part.split('/')[0]}: cannot be loaded as a"):
        LatentDiffusion.load(broken)


def test_an_inpainting_unet_is_refused(tmp_path):
    write_tiny_pipeline(tmp_path / "nine", unet_channels=9)
    with pytest.raises(PenumbraError, match="unet: takes 9 channels, but the latents of .*vae have 4"):
        LatentDiffusion.load(tmp_path / "nine")


def test_components_of_different_pipelines_are_refused(directory, model):
    parts = {name: getattr(model, name) for name in ("vae", "unet", "text_encoder", "tokenizer", "scheduler")}

    class Other:
        def __init__(self, part, **changes):
            self.config = type("Config", (), dict(part.config) | changes)

    with pytest.raises(PenumbraError, match="attends to texts of width 99, but .*text_encoder gives 16"):
        LatentDiffusion(**parts | {"unet": Other(model.unet, cross_attention_dim=99)})
    with pytest.raises(PenumbraError, match="unet: gives 8 channels for 4"):
        LatentDiffusion(**parts | {"unet": Other(model.unet, out_channels=8)})
    with pytest.raises(PenumbraError, match="vae: turns images of 1 channels into 3"):
        LatentDiffusion(**parts | {"vae": Other(model.vae, in_channels=1)})
    with pytest.raises(PenumbraError, match="tokenizer: has 74 tokens"):
        LatentDiffusion(**parts | {"text_encoder": type("Text", (), {"config": type("C", (), {"hidden_size": 16, "vocab_size": 9})})})
    with pytest.raises(PenumbraError, match="prediction_type = 'sample'"):
        LatentDiffusion(**parts | {"scheduler": DDIMScheduler.from_config(model.scheduler.config, prediction_type="sample")})


def test_a_schedule_that_ends_in_pure_noise_is_refused(broken):
    change(broken / "scheduler/scheduler_config.json", rescale_betas_zero_snr=True)
    with pytest.raises(PenumbraError, match=r"scheduler: nothing of an image is left .*\(rescale_betas_zero_snr\)"):
        LatentDiffusion.load(broken)


def test_a_hub_id_may_name_a_revision_and_a_directory_may_have_an_at_sign(directory, tmp_path, monkeypatch):
    asked = []

    def refuse(source, **options):
        asked.append((source, options.get("revision"), options["local_files_only"]))
        raise OSError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(latent.AutoencoderKL, "from_pretrained", refuse)
        for source in ("somebody/pipeline", "somebody/pipeline@1234abc"):
            with pytest.raises(PenumbraError, match=f"{source}/vae: cannot be loaded as a AutoencoderKL .no network"):
                LatentDiffusion.load(source)
    assert asked == [("somebody/pipeline", None, False), ("somebody/pipeline", "1234abc", False)]
    LatentDiffusion.load(shutil.copytree(directory, tmp_path / "pipeline@home"))


def test_a_scheduler_of_another_kind_gives_its_schedule(broken):
    change(broken / "scheduler/scheduler_config.json", _class_name="PNDMScheduler", skip_prk_steps=True)
    assert LatentDiffusion.load(broken).levels(4).timesteps == (751, 501, 251, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_unet_is_bfloat16_and_the_decoder_float32(directory, model):
    on_gpu = LatentDiffusion.load(directory, "cuda")
    assert (on_gpu.unet.dtype, on_gpu.text_encoder.dtype, on_gpu.vae.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    z = latents(model, 2)
    eps = on_gpu.eps(z.cuda(), 500, on_gpu.embed(["a", "b"]))
    assert eps.dtype == torch.float32
    torch.testing.assert_close(eps.cpu(), model.eps(z, 500, model.embed(["a", "b"])), rtol=0.05, atol=0.05)
    assert on_gpu.decode(z.cuda()).dtype == torch.float32
