"""Dream-OOD: words that others replace, embeddings that learn them, outliers among these, and images of them."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from diffusion_files import IMAGES, NAMES, make_stage, rows_of, write_inputs

from penumbra.artifacts.images import read_pixels
from penumbra.artifacts.pixels import store
from penumbra.errors import PenumbraError
from penumbra.guidance.ood import kth_distance
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.classifiers.load import load
from penumbra.models.latent import LatentDiffusion
from penumbra.synthesize.dreamood import plan
from penumbra.synthesize.dreamood.draw import dreams
from penumbra.synthesize.dreamood.embedding import alignment_loss, embeddings_of, outliers, trained
from penumbra.synthesize.dreamood.params import DreamOod
from penumbra.synthesize.dreamood.words import anchors, conditions, own_tokens

EMBEDDING = {
    "architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "epochs": 6, "batch_size": 8,
    "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0, "warmup_epochs": 1, "temperature": 0.1, "crop_padding": 0, "flip": False,
}  # fmt: skip
METHOD = {
    "method": "dreamood", "embedding": EMBEDDING, "knn_k": 3, "boundary": 4, "picked": 2, "samples": 9, "keep": 2, "sigma": 0.2,
    "sphere": True, "topk": "correct", "per_class": 5, "prompt": "a {}", "steps": 2, "guidance_scale": 2.0,
}  # fmt: skip
P = DreamOod(**METHOD)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def model(inputs):
    return LatentDiffusion.load(inputs / "diffusion")


def test_a_class_is_told_by_the_tokens_that_not_every_prompt_has(model):
    prompts = ["a cat", "a dog"]
    ids = model.tokens(prompts)
    own = own_tokens(ids, prompts)
    words = [model.tokenizer.convert_ids_to_tokens(row[mask].tolist()) for row, mask in zip(ids, own, strict=True)]
    assert words == [["c", "a", "t</w>"], ["d", "o", "g</w>"]]
    with pytest.raises(PenumbraError, match="no word of its own"):
        own_tokens(model.tokens(["a b", "a b c"]), ["a b", "a b c"])
    with pytest.raises(PenumbraError, match="two classes"):
        own_tokens(ids[:1], prompts[:1])


def test_an_anchor_is_the_mean_embedding_of_those_tokens(model):
    prompts = ["a cat", "a dog"]
    ids = model.tokens(prompts)
    table = model.text_encoder.get_input_embeddings().weight
    for anchor, letters in zip(anchors(model, ids, own_tokens(ids, prompts)), (["c", "a", "t</w>"], ["d", "o", "g</w>"]), strict=True):
        rows = [table[model.tokenizer.convert_tokens_to_ids(letter)] for letter in letters]
        torch.testing.assert_close(anchor, torch.stack(rows).mean(0))


def test_a_prompt_with_the_embedding_of_another_word_is_that_other_prompt(model):
    prompts = ["a c", "a d"]
    ids = model.tokens(prompts)
    own = own_tokens(ids, prompts)
    words = anchors(model, ids, own)
    torch.testing.assert_close(conditions(model, ids, own, words), model.embed(prompts))
    torch.testing.assert_close(conditions(model, ids, own, words.flip(0)), model.embed(prompts).flip(0))
    torch.testing.assert_close(model.embed(prompts), conditions(model, ids, own, words))  # nothing of the model has changed


def test_the_loss_is_a_softmax_of_cosines_written_out():
    draws = torch.Generator().manual_seed(0)
    seen, words, labels = torch.randn(5, 4, generator=draws), 3 * torch.randn(3, 4, generator=draws), torch.tensor([0, 2, 1, 1, 0])
    terms = []
    for row, label in zip(seen, labels.tolist(), strict=True):
        shares = [math.exp((row @ word / row.norm() / word.norm()).item() / 0.2) for word in words]
        terms.append(-math.log(shares[label] / sum(shares)))
    assert alignment_loss(seen, labels, words, 0.2).item() == pytest.approx(sum(terms) / 5, rel=1e-5)


def test_outliers_are_of_length_1_and_those_of_the_released_code_are_nearer():
    bank = F.normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) + torch.tensor([4.0, 0, 0, 0, 0, 0]), dim=1)
    p = P.model_copy(update={"per_class": 41, "samples": 60, "picked": 4, "boundary": 8})
    far, distances = outliers(bank, p, ("key",))
    assert far.shape == (41, 6) and torch.allclose(far.norm(dim=1), torch.ones(41))
    torch.testing.assert_close(distances, kth_distance(far, bank, p.knn_k))
    _, released = outliers(bank, p.model_copy(update={"topk": "released"}), ("key",))
    assert distances.mean() > 1.3 * released.mean() > kth_distance(bank, bank, p.knn_k).mean()
    assert not torch.equal(far, outliers(bank, p, ("other",))[0]) and torch.equal(far, outliers(bank, p, ("key",))[0])


def test_outliers_of_npos_are_the_same_draws_where_they_fall():
    bank = F.normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) + torch.tensor([4.0, 0, 0, 0, 0, 0]), dim=1)
    near, distances = outliers(bank, P, ("key",))
    fallen, others = outliers(bank, P.model_copy(update={"sphere": False}), ("key",))
    torch.testing.assert_close(F.normalize(fallen, dim=1), near)  # rejection looks at directions alone
    torch.testing.assert_close(others, distances)
    lengths = fallen.norm(dim=1)
    assert (lengths - 1).abs().max() > 0.05
    assert torch.cdist(fallen, bank).min() > 0.1 * P.sigma  # none fell on an ID embedding


def test_images_come_to_be_embedded_by_the_word_of_their_class(inputs, tmp_path):
    p = P.model_copy(update={"embedding": P.embedding.model_copy(update={"epochs": 40})})
    dream = dreams(make_stage(inputs, tmp_path, p), torch.device("cpu"))
    words = F.normalize(anchors(dream.model, dream.ids, dream.own), dim=1)
    assert dream.embeddings.shape[:2] == (2, P.per_class)
    nearest = (F.normalize(dream.embeddings, dim=2) @ words.T).argmax(2)
    assert (nearest == torch.tensor([[0], [1]])).float().mean() > 0.9  # outliers are around their own class
    torch.testing.assert_close(dream.embeddings.norm(dim=2), anchors(dream.model, dream.ids, dream.own).norm(dim=1)[:, None].expand(2, 5))


def test_images_on_the_disk_teach_what_images_in_memory_do(inputs, tmp_path):
    file, labels, words = inputs / "train.parquet", torch.arange(IMAGES) % 2, torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    p, seen = P.embedding.model_copy(update={"crop_padding": 2, "flip": True, "epochs": 2}), []
    for name, pixels in (("memory", torch.from_numpy(read_pixels(file))), ("disk", store(tmp_path / "pixels.npy", (file, None)))):
        network = trained(pixels, labels, words, p, 0, tmp_path / name)
        seen.append(embeddings_of(network, pixels, torch.device("cpu")))
    assert torch.equal(*seen)


def test_any_classifier_learns_the_words(inputs, tmp_path):
    own = {key: value for key, value in EMBEDDING.items() if key != "width" and not key.startswith("stem_")}
    other = own | {"architecture": "torchvision/shufflenet_v2_x0_5", "input_size": 32, "epochs": 1}
    stage = make_stage(inputs, tmp_path, DreamOod(**METHOD | {"embedding": other}))
    dream = dreams(stage, torch.device("cpu"))
    network = load(stage.scratch / "embedding")
    assert isinstance(network, LibraryClassifier) and network.last_layer.out_features == dream.embeddings.shape[-1]
    assert dream.embeddings.isfinite().all() and (dream.distances > 0).all()


def test_it_writes_candidates_of_each_class_the_same_in_parts(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "BLOCK", 4)
    whole, parts = (make_stage(inputs, tmp_path / place, P) for place in ("whole", "parts"))
    plan.main(whole)
    rows = rows_of(whole)
    assert rows.label.tolist() == [0] * 5 + [1] * 5 and rows.prompt.tolist() == [f"a {NAMES[label]}" for label in rows.label]
    assert rows.sample_id.is_unique and (rows.knn > 0).all() and rows.image.map(lambda image: image["bytes"]).is_unique
    for index in (1, 0):
        plan.main(replace(parts, part=(index, 2)))
    plan.main(parts)
    assert parts.write("outliers").read_bytes() == whole.write("outliers").read_bytes()


def test_too_few_images_of_a_class_are_named(inputs, tmp_path):
    with pytest.raises(PenumbraError, match=f"own.knn_k = {IMAGES}: must be at most {IMAGES // 2}"):
        plan.main(make_stage(inputs, tmp_path, P.model_copy(update={"knn_k": IMAGES})))
