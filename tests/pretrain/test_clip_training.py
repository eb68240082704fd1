"""pretrain@clip on real files: the loss, what transformers makes of the result, resumption, the import."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

from killed_training import killed
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.errors import PenumbraError
from penumbra.models.clip import Clip
from penumbra.noise import generator
from penumbra.pretrain import clip
from penumbra.pretrain.captions import build_tokenizer
from penumbra.stage import Params, Stage
from tiny_clip import write_tiny_clip

from transformers import CLIPModel, CLIPProcessor  # isort: skip

PARAMS = {
    "model": None,
    "image_size": 8,
    "patch_size": 4,
    "width": 16,
    "layers": 1,
    "heads": 2,
    "text_width": 16,
    "text_layers": 1,
    "text_heads": 2,
    "text_length": 12,
    "projection": 8,
    "templates": ["{}", "a photo of {}"],
    "temperature": 0.1,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.003,
    "weight_decay": 0.1,
    "warmup_epochs": 1,
    "crop_padding": 1,
    "validate_every": 1,
}
WORDS = ("digit zero", "digit one")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Dark and bright ID images (captioned in the train file alone), and striped ones of the world."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    reads = {}
    for name, count in (("train", 24), ("val", 9), ("world", 8), ("clip_world", 0)):
        reads[f"images/{name}"] = folder / f"{name}.parquet"
        columns = {"label": pa.int64(), "class": pa.string(), "caption": pa.string()}
        with ImageWriter(reads[f"images/{name}"], columns, {"classes": ["0", "1"]}) as writer:
            for index in range(count):
                label = index % 2
                pixels = 60 + 120 * label + draws.normal(0, 20, (12, 12, 3))
                if name == "world":
                    pixels[:, ::2] -= 60
                caption = {"train": WORDS[label], "val": "", "world": "" if index == 3 else f"the letter {'CD'[label]}"}[name]
                row = {"label": -1 if name == "world" else label, "class": f"{'CD'[label]}" if name == "world" else str(label)}
                writer.add(encode(np.clip(pixels, 0, 255).astype(np.uint8)), caption=caption, **row)
    return reads


@pytest.fixture
def make_stage(images, tmp_path):
    def make(place: str, **changes) -> Stage:
        params = Params({"common": {"seed": 0, "image_size": 12}, "pretrain": {"clip": PARAMS | changes}})
        return Stage("pretrain", "clip", params, {}, images, {"models/clip": tmp_path / place}, tmp_path / f"{place}-scratch")

    return make


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def features(batch, seed):
    return torch.randn(batch, 5, generator=torch.Generator().manual_seed(seed))


def test_with_captions_that_all_differ_the_loss_is_clips():
    image, text = features(6, 0), features(6, 1)
    loss = clip.contrastive_loss(image, text, torch.arange(6), torch.tensor(7.0))
    logits = 7 * F.cosine_similarity(image[:, None], text[None], dim=2)
    expected = sum(-logits.log_softmax(dim).diag().mean() for dim in (0, 1)) / 2
    torch.testing.assert_close(loss, expected)


def test_equal_captions_share_the_target_whatever_their_wording():
    image, text, captions = features(5, 0), features(5, 1), [3, 1, 3, 3, 1]
    loss = clip.contrastive_loss(image, text, torch.tensor(captions), torch.tensor(2.0))
    logits = (2 * F.cosine_similarity(image[:, None], text[None], dim=2)).double()
    expected = 0.0
    for lines in (logits, logits.T):  # each image over the texts, each text over the images
        for row, own in enumerate(captions):
            positives = [column for column, caption in enumerate(captions) if caption == own]
            expected -= sum(lines[row].log_softmax(0)[column].item() for column in positives) / len(positives) / 10
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_cannot_be_lower_than_where_equal_captions_coincide():
    directions, captions = torch.eye(5)[:2], torch.tensor([0, 0, 1])
    loss = clip.contrastive_loss(directions[captions], 3 * directions[captions], captions, torch.tensor(100.0))
    assert loss.item() == pytest.approx((2 * math.log(2) + 0) / 3, abs=1e-5)  # the entropy of the targets


def test_matrices_decay_and_gains_biases_and_the_temperature_do_not():
    model = clip.build(Params(PARAMS), build_tokenizer(["a"], 12)).model
    decaying, others = clip.parameter_groups(model, 0.3)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert {id(q) for group in (decaying, others) for q in group["params"]} == {id(q) for q in model.parameters()}
    assert any(q is model.logit_scale for q in others["params"])
    assert any(q is model.visual_projection.weight for q in decaying["params"])


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """The result of one whole training."""
    folder = tmp_path_factory.mktemp("trained")
    params = Params({"common": {"seed": 0, "image_size": 12}, "pretrain": {"clip": PARAMS}})
    clip.main(Stage("pretrain", "clip", params, {}, images, {"models/clip": folder / "whole"}, folder / "scratch"))
    return folder / "whole"


def test_the_official_classes_load_it_and_agree(trained, images):
    official, processor = CLIPModel.from_pretrained(trained), CLIPProcessor.from_pretrained(trained)
    pixels, texts = torch.from_numpy(read_pixels(images["images/val"])).permute(0, 3, 1, 2), ["a photo of digit one", "zebra?"]
    inputs = processor(images=list(pixels), text=texts, return_tensors="pt", padding=True)
    loaded = Clip.load(trained)
    image, text = loaded.embed_images(pixels.float() / 255), loaded.embed_texts(texts)
    expected = official.eval()(**inputs).logits_per_image.detach()
    torch.testing.assert_close(loaded.logit_scale * F.normalize(image, dim=1) @ F.normalize(text, dim=1).T, expected)
    provenance = json.loads((trained / "penumbra.json").read_text())
    assert provenance["stage"] == "pretrain@clip"
    assert provenance["params"]["pretrain"]["clip"] == PARAMS


def test_it_learns_what_the_captions_say(make_stage, images):
    stage = make_stage("longer", epochs=18, validate_every=6, learning_rate=0.01)
    clip.main(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert history["epoch"].tolist() == list(range(1, 19))
    validated = history.dropna()
    assert validated["epoch"].tolist() == [6, 12, 18]
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert validated["val_accuracy"].iloc[-1] == 1
    assert validated["val_loss"].iloc[-1] < 0.7 * math.log(5)  # that of a guess among all captions
    loaded = Clip.load(stage.write())
    pixels = torch.from_numpy(read_pixels(images["images/world"])).permute(0, 3, 1, 2)
    texts = [f"a photo of {caption}" for caption in ("the letter C", "the letter D", *WORDS)]
    cosines = F.normalize(loaded.embed_images(pixels.float() / 255), dim=1) @ F.normalize(loaded.embed_texts(texts), dim=1).T
    assert cosines.argmax(1).tolist()[:2] == [0, 1]
    assert history["temperature"].iloc[-1] == pytest.approx(1 / loaded.logit_scale, rel=1e-4)


def test_validation_is_zero_shot_classification_among_the_id_captions():
    torch.manual_seed(0)
    model = clip.build(Params(PARAMS), build_tokenizer(["a photo of red", "blue green black white"], 12))
    images, labels = torch.randn(8, 3, 8, 8, generator=generator(0)), torch.tensor([0, 1] * 4)

    def cosines(captions):
        text = model.embed_texts([f"a photo of {caption}" for caption in captions])
        return F.cosine_similarity(model.image_features(images)[:, None], text[None], dim=2)

    captions = ["red", "blue", "green", "black", "white"]
    captions = [captions[row] for row in cosines(captions).mean(0).argsort()]  # those of no ID class are nearer to most images
    loss, accuracy = clip.validate(model, images.split(3), labels, captions, 2)
    expected = cosines(captions)
    assert (expected.argmax(1) >= 2).any()
    assert loss == pytest.approx(F.cross_entropy(10 * expected, labels).item(), rel=1e-4)
    assert accuracy == pytest.approx((expected[:, :2].argmax(1) == labels).float().mean().item())


@pytest.mark.parametrize("size", [8, 12, 20])
def test_what_the_network_sees_of_an_image_does_not_depend_on_its_batch(images, size):
    """So it is made batch by batch, and the weights are those of a training that has made it of all images before."""
    model = clip.build(Params(PARAMS), build_tokenizer(["a"], 12))
    pixels = torch.from_numpy(np.random.default_rng(size).integers(0, 256, (40, size, size, 3), dtype=np.uint8)).permute(0, 3, 1, 2)
    rows = torch.randperm(40, generator=generator(0))[:9]
    shown = clip.shown(model, pixels)
    assert torch.equal(clip.shown(model, pixels[rows]), shown[rows])


def test_the_temperature_is_never_below_a_hundredth(make_stage):
    stage = make_stage("cold", temperature=0.001, epochs=1, learning_rate=1e-9)
    clip.main(stage)
    assert Clip.load(stage.write()).logit_scale == pytest.approx(100, rel=1e-4)


def test_a_killed_training_resumes_to_the_same_bytes(make_stage, trained, monkeypatch):
    resumed = make_stage("killed")
    calls = killed(monkeypatch, clip, "train_epoch", 2, lambda: clip.main(resumed))
    assert not resumed.write().exists()
    clip.main(resumed)
    assert len(calls) == 3  # nothing but the interrupted epoch was begun twice
    assert contents(resumed.write()) == contents(trained)


def test_all_wordings_are_used_and_images_are_shifted(make_stage, monkeypatch):
    texts, images, original = [], [], (Clip.text_features, Clip.image_features)
    monkeypatch.setattr(Clip, "text_features", lambda c, tokens: texts.append(tokens["input_ids"]) or original[0](c, tokens))
    monkeypatch.setattr(Clip, "image_features", lambda c, pixels: images.append(pixels) or original[1](c, pixels))
    stage = make_stage("spied", epochs=8, validate_every=8)
    clip.main(stage)
    tokenizer = Clip.load(stage.write()).tokenizer
    wordings = {tokenizer.decode(ids, skip_special_tokens=True) for batch in texts[:-1] for ids in batch}
    names = {*WORDS, "d", "the letter c", "the letter d"}
    assert wordings == names | {f"a photo of {name}" for name in names}
    shown = torch.cat(images[:32])
    assert len(shown.flatten(1).unique(dim=0)) > 2 * 32  # of 32 images, up to 9 shifts each


def test_a_published_directory_is_imported_as_it_is(make_stage, tmp_path):
    published = write_tiny_clip(tmp_path / "published")
    stage = make_stage("imported", model=str(published))
    clip.main(stage)
    loaded, original = Clip.load(stage.write()), Clip.load(published)
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert loaded.tokens(["a cat"])["input_ids"].equal(original.tokens(["a cat"])["input_ids"])
    assert sorted(contents(stage.write())) == sorted([*contents(published), "penumbra.json"])
    weights = {name: content for name, content in contents(stage.write()).items() if name != "penumbra.json"}
    assert not any(str(tmp_path).encode() in content for content in weights.values())


def test_an_import_that_does_not_load_leaves_nothing(make_stage, tmp_path):
    published = write_tiny_clip(tmp_path / "published")
    (published / "model.safetensors").unlink()
    stage = make_stage("imported", model=str(published))
    with pytest.raises(PenumbraError, match="published: cannot be loaded as a model of images and texts"):
        clip.main(stage)
    assert not stage.write().exists()


def test_a_caption_longer_than_the_texts_is_an_error_before_training(make_stage, monkeypatch):
    monkeypatch.setattr(clip, "train_epoch", lambda *_: pytest.fail("trained"))
    with pytest.raises(PenumbraError, match="text .*: has 7 tokens; the text encoder of pretrain.clip reads 6. Shorten it"):
        clip.main(make_stage("short", text_length=6))
