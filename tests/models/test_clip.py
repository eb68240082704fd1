"""A model of images and texts: transformers' own results, its preprocessing, saving, and what a bad directory is told."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from penumbra.errors import PenumbraError
from penumbra.models import clip
from penumbra.models.clip import Clip
from penumbra.models.pretrained import ORIGIN
from tiny_clip import DIMENSION, SIZE, write_tiny_clip, write_tiny_dual_encoder
from tiny_pipeline import LENGTH, write_tiny_pipeline

from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor, VisionTextDualEncoderModel  # isort: skip

WRITERS = {"transformer": write_tiny_clip, "resnet": write_tiny_dual_encoder}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    return {name: write(tmp_path_factory.mktemp(name) / "tiny") for name, write in WRITERS.items()}


@pytest.fixture(scope="module")
def models(directories):
    return {name: Clip.load(directory) for name, directory in directories.items()}


@pytest.fixture
def model(models):
    return models["transformer"]


@pytest.fixture
def broken(directories, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(directories["transformer"], tmp_path / "broken")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def photos(count, height, width, seed=0):
    """Smooth uint8 images [B, 3, H, W] with sharp edges."""
    draws = np.random.default_rng(seed)
    coarse = draws.integers(0, 256, (count, 5, 4, 3), np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)).copy() for image in coarse]
    for image in large:
        image[: height // 3, width // 2 :] = draws.integers(0, 256, 3)
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("name", "kind"), [("transformer", CLIPModel), ("resnet", VisionTextDualEncoderModel)])
def test_both_kinds_of_towers_load_through_the_same_code(models, name, kind):
    loaded = models[name]
    assert type(loaded.model) is kind
    features = loaded.embed_images(torch.rand(3, 3, 20, 24, generator=torch.Generator().manual_seed(0)))
    texts = loaded.embed_texts(["a cat", "dog"])
    assert (features.shape, texts.shape, loaded.projection_dim) == ((3, DIMENSION), (2, DIMENSION), DIMENSION)
    assert (features.dtype, texts.dtype) == (torch.float32, torch.float32)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert not loaded.model.training


def test_logits_are_those_of_the_official_model_and_processor(model, directories):
    pixels, texts = photos(3, SIZE, SIZE), ["a cat", "dog 7"]
    official, processor = CLIPModel.from_pretrained(directories["transformer"]), CLIPProcessor.from_pretrained(directories["transformer"])
    inputs = processor(images=list(pixels), text=texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = official(**inputs)
    image, text = model.embed_images(pixels.float() / 255), model.embed_texts(texts)
    cosines = torch.nn.functional.normalize(image, dim=1) @ torch.nn.functional.normalize(text, dim=1).T
    torch.testing.assert_close(model.logit_scale * cosines, expected.logits_per_image)
    assert model.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)


def test_a_convolutional_tower_is_pooled_and_projected(models, directories):
    official, loaded = VisionTextDualEncoderModel.from_pretrained(directories["resnet"]), models["resnet"]
    images = photos(2, 2 * SIZE, 2 * SIZE).float() / 255
    maps = official.eval().vision_model(loaded.pixels(images)).last_hidden_state
    torch.testing.assert_close(loaded.embed_images(images), official.visual_projection(maps.mean((2, 3))).detach())


@pytest.mark.parametrize(("height", "width"), [(SIZE, SIZE), (40, 56), (56, 40), (11, 7)])
def test_images_are_preprocessed_as_the_official_processor_does(model, directories, height, width):
    pixels = photos(3, height, width)
    official = CLIPImageProcessor.from_pretrained(directories["transformer"])
    expected = official(images=list(pixels), return_tensors="pt")["pixel_values"]
    assert torch.equal(model.pixels(pixels.float() / 255), expected)


@pytest.mark.parametrize(("height", "width"), [(40, 56), (11, 7)])
def test_preprocessing_is_a_bicubic_resize_of_the_shortest_edge_and_a_centre_crop_of_pillow(model, height, width):
    (pixels,) = photos(1, height, width)
    scale = SIZE / min(height, width)
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize((int(width * scale), int(height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    cropped = np.asarray(image.crop((left, top, left + SIZE, top + SIZE)), np.float32) / 255
    mean, deviation = model.processor.image_mean, model.processor.image_std
    expected = torch.from_numpy((cropped - mean) / deviation).permute(2, 0, 1).float()
    # Pillow and torch round 8-bit pixels at different places: one level, 1 / 255 / 0.26.
    torch.testing.assert_close(model.pixels(pixels[None].float() / 255)[0], expected, rtol=0, atol=1.01 / 255 / 0.26)


def test_features_do_not_depend_on_the_batch(model):
    images, texts = photos(4, 20, 20).float() / 255, ["a", "bc", "def", "a much longer"]
    together, alone = model.embed_images(images), torch.cat([model.embed_images(image[None]) for image in images])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(model.embed_texts(texts), torch.cat([model.embed_texts([text]) for text in texts]))
    assert model.tokens(["a"])["input_ids"].shape == (1, LENGTH)  # no sum is as long as the longest text of a batch


def test_many_texts_are_embedded_a_part_at_a_time(model, monkeypatch):
    texts, sizes = ["a", "b", "cat", "", "dog"], []
    whole = model.embed_texts(texts)
    monkeypatch.setattr(clip, "TEXTS", 2)
    handle = model.model.text_projection.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    parts = model.embed_texts(texts)
    handle.remove()
    torch.testing.assert_close(parts, whole)
    assert sizes == [2, 2, 1]


def test_a_text_over_the_limit_is_an_error_that_shows_it_and_one_at_the_limit_is_not(model, capfd):
    assert model.embed_texts(["a" * (LENGTH - 2)]).shape == (1, DIMENSION)
    with pytest.raises(PenumbraError, match=f"text 'aa+': has {LENGTH + 1} tokens; the text encoder of .* reads {LENGTH}. Shorten it"):
        model.embed_texts(["b", "a" * (LENGTH - 1)])
    assert "Token indices" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", WRITERS)
def test_saved_and_loaded_again_it_is_the_same_to_the_byte(directories, tmp_path, name):
    copy = shutil.copytree(directories[name], tmp_path / "copy")
    for source, target in ((directories[name], "one"), (copy, "two")):
        loaded = Clip.load(source)
        if target == "two":
            loaded.tokens(["a"])  # leaves its padding in the tokenizer
        loaded.save_pretrained(tmp_path / target)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in directories[name].iterdir())
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
    assert not any(str(directories[name]).encode() in (tmp_path / "one" / file).read_bytes() for file in files)
    assert not any(json.loads(path.read_text()).keys() & ORIGIN for path in (tmp_path / "one").glob("*.json"))
    again, images = Clip.load(tmp_path / "one"), photos(2, 20, 24).float() / 255
    assert torch.equal(again.embed_images(images), Clip.load(copy).embed_images(images))
    assert torch.equal(again.embed_texts(["a cat"]), Clip.load(copy).embed_texts(["a cat"]))


def test_loading_and_saving_say_nothing(directories, tmp_path, capfd):
    Clip.load(directories["transformer"]).save_pretrained(tmp_path / "silent")
    assert "".join(capfd.readouterr()) == ""


def test_a_hub_id_may_name_its_revision(monkeypatch):
    asked = []

    def refuse(source, **options):
        asked.append((source, options.get("revision"), options["local_files_only"], options["use_safetensors"]))
        raise OSError("offline")

    monkeypatch.setattr(clip.AutoModel, "from_pretrained", refuse)
    for source in ("some/clip@refs/pr/3", "some/clip"):
        with pytest.raises(PenumbraError, match=rf"^{source}: cannot be loaded as a model of images and texts \(offline\)"):
            Clip.load(source)
    assert asked == [("some/clip", "refs/pr/3", False, True), ("some/clip", None, False, True)]


def test_weights_that_are_only_a_pickle_are_refused(broken):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    with pytest.raises(PenumbraError, match=r"broken: has its weights as a pickle \(.bin\), which could run code"):
        Clip.load(broken)


def rewrite(directory, edit):
    state = load_file(directory / "model.safetensors")
    edit(state)
    save_file(state, directory / "model.safetensors", {"format": "pt"})


def test_weights_that_are_absent_from_the_file_are_an_error_not_random(broken):
    rewrite(broken, lambda state: state.pop("visual_projection.weight"))
    with pytest.raises(PenumbraError, match=r"broken: its file lacks the weights visual_projection.weight \(1 in all\)"):
        Clip.load(broken)


def test_weights_of_another_shape_are_an_error(broken):
    rewrite(broken, lambda state: state.update({"text_projection.weight": torch.zeros(3, 16)}))
    with pytest.raises(PenumbraError, match=r"broken: .*(text_projection|mismatch)"):
        Clip.load(broken)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_a_file_that_is_missing_or_not_what_it_should_be_is_an_error(broken, file):
    (broken / file).write_text("no")
    with pytest.raises(PenumbraError, match="cannot be loaded as a"):
        Clip.load(broken)
    (broken / file).unlink()
    with pytest.raises(PenumbraError, match="cannot be loaded as a|tokenizer has no words"):
        Clip.load(broken)


def test_a_model_of_texts_alone_is_refused(broken, tmp_path):
    pipeline = write_tiny_pipeline(tmp_path / "pipeline")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(pipeline / "text_encoder" / name, broken / name)
    with pytest.raises(PenumbraError, match="broken: is a CLIPTextModel, not a model of images and texts"):
        Clip.load(broken)


def test_a_processor_of_another_size_is_refused(broken):
    change(broken / "preprocessor_config.json", crop_size={"height": 8, "width": 8})
    with pytest.raises(PenumbraError, match=f"makes images of 8 x 8 pixels, and the network takes {SIZE} x {SIZE}"):
        Clip.load(broken)


def test_a_tokenizer_with_more_tokens_than_the_text_encoder_knows_is_refused(model):
    words = type("Words", (), {"__len__": lambda self: 99, "get_vocab": lambda self: ["a"], "all_special_tokens": []})()
    with pytest.raises(PenumbraError, match="its tokenizer has 99 tokens, and its text encoder knows 74"):
        Clip(model.model, model.processor, words)


@pytest.mark.parametrize("part", ["visual_projection", "text_projection"])
def test_features_that_are_not_finite_are_an_error(directories, part):
    diverged = Clip.load(directories["transformer"])
    getattr(diverged.model, part).weight[0, 0] = float("inf")
    with pytest.raises(PenumbraError, match="its features of (images|texts) are NaN or infinite"):
        diverged.embed_images(torch.rand(1, 3, SIZE, SIZE)) if part == "visual_projection" else diverged.embed_texts(["a"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_towers_are_bfloat16_and_the_features_float32(directories, model):
    on_gpu, images = Clip.load(directories["transformer"], "cuda"), photos(4, 20, 24).float() / 255
    assert on_gpu.model.visual_projection.weight.dtype == torch.bfloat16
    assert on_gpu.logit_scale == pytest.approx(model.logit_scale, rel=1e-6)
    features = on_gpu.embed_images(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.cpu(), model.embed_images(images), rtol=0.05, atol=0.05)
