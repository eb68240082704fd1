"""synthesize@good on a tiny random pipeline: plan, provenance, defined behaviour, errors, parts."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from outlier_files import outliers_of, selection_of

from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import ImageWriter, decode, encode
from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import ddim_step
from penumbra.logits import energy
from penumbra.models.latent import LatentDiffusion
from penumbra.models.resnet import ResNet
from penumbra.noise import SampleNoise
from penumbra.scores import knn
from penumbra.stage import Params, Stage
from penumbra.synthesize.good import draw
from penumbra.synthesize.good import plan as good
from penumbra.synthesize.good.params import Good, Strengths
from tiny_pipeline import write_tiny_pipeline

ARCHITECTURE = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 1, "stem_pool": False}
SIZE, CLASSES = 16, 2
IMAGE = {"energy": 1.0, "knn": 0.0, "rho": [0.0, 20.0], "mu": [0.0, 20.0], "grid": True, "gamma": 0.1, "per_class": 2}
FEATURE = {"energy": 0.0, "knn": 10.0, "rho": [0.5, 20.0], "mu": [1.0, 20.0], "grid": False, "gamma": 0.001, "per_class": 1}
METHOD = {
    "prompt": "a {}", "steps": 4, "guidance_scale": 2.0, "eta": 1.0, "recurrences": 1, "iterations": 1, "draws": 1,
    "rho_schedule": "increase", "mu_schedule": "increase", "gamma_schedule": "decrease", "clip": None, "pndm": False, "knn_k": 3,
    "knn_log": False, "classifier_size": SIZE, "classifier_range": "unit", "guidances": {"image": IMAGE, "feature": FEATURE},
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_pipeline(folder / "diffusion", image_size=SIZE)
    torch.manual_seed(0)
    classifier = ResNet(**ARCHITECTURE, classes=CLASSES).eval()
    classifier.save_pretrained(folder / "classifier")
    with torch.no_grad():
        features = classifier.forward_with_features(torch.rand(12, 3, SIZE, SIZE))[1]
    write_features(folder / "classifier.safetensors", {"features": features, "label": torch.arange(12) % 2}, list("abcdefghijkl"), {})
    columns = {"sample_id": pa.string(), "label": pa.int64(), "caption": pa.string()}
    with ImageWriter(folder / "train.parquet", columns, {"classes": ["zero", "one"]}) as writer:
        for label, caption in enumerate(["cat", "dog"]):
            writer.add(encode(np.zeros((SIZE, SIZE, 3), np.uint8)), sample_id=f"train/{label}", label=label, caption=caption)
    return folder


def make_stage(models, folder, **changes):
    reads = {"models/diffusion": "diffusion", "models/classifier": "classifier", "features/classifier": "classifier.safetensors"}
    reads = {name: models / file for name, file in (reads | {"images/train": "train.parquet"}).items()}
    params = Params({"common": {"seed": 0, "grey": False, "image_size": SIZE}, "synthesize": {"good": Good(**METHOD | changes)}})
    return Stage("synthesize", "good", params, {}, reads, outliers_of(folder, "good"), folder / "scratch")


def rows_of(stage):
    return pq.read_table(stage.write("outliers")).to_pandas()


def pixels_of(rows):
    return torch.from_numpy(np.stack([decode(image["bytes"]) for image in rows["image"]])).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def whole(models, tmp_path_factory):
    stage = make_stage(models, tmp_path_factory.mktemp("whole"))
    good.main(stage)
    return stage


def test_every_combination_of_strengths_is_sampled_for_every_class(whole):
    rows = rows_of(whole)
    counts = rows.groupby(["guidance", "rho", "mu", "label"]).size().to_dict()
    image = {("image", rho, mu, label): 2 for rho in (0.0, 20.0) for mu in (0.0, 20.0) for label in (0, 1)}
    feature = {("feature", rho, mu, label): 1 for rho, mu in ((0.5, 1.0), (20.0, 20.0)) for label in (0, 1)}
    assert counts == image | feature
    assert rows["sample_id"].is_unique and rows["sample_id"][0].startswith("good/")
    assert (rows["source_id"] == "").all() and (rows["seed"] == 0).all()
    assert rows["prompt"].tolist() == [f"a {('cat', 'dog')[label]}" for label in rows["label"]]
    assert selection_of(whole) == rows["sample_id"].tolist()


def test_energy_distance_and_prediction_are_those_of_the_final_image(whole, models):
    rows = rows_of(whole)
    classifier = ResNet.from_pretrained(models / "classifier")
    bank = draw.read_features(models / "classifier.safetensors")[0]["features"]
    logits, features = classifier.forward_with_features(pixels_of(rows))
    np.testing.assert_allclose(rows["energy"], energy(logits), rtol=1e-4)
    np.testing.assert_allclose(
        rows["knn"], knn.distances(features, torch.nn.functional.normalize(bank, dim=1), [3])[:, 0], rtol=1e-3, atol=1e-6
    )
    assert rows["predicted"].tolist() == logits.argmax(1).tolist()
    assert all(len(cam) == size**2 for cam, size in zip(rows["cam"], rows["cam_size"], strict=True)) and (rows["cam_size"] == 8).all()
    assert min(cam.min() for cam in rows["cam"]) >= 0 and max(cam.max() for cam in rows["cam"]) == 1


def test_features_are_kept_where_they_are_asked_for_and_nothing_else_changes(whole, models, tmp_path):
    stage = make_stage(models, tmp_path, features=True)
    good.main(stage)
    rows = rows_of(stage)
    features = ResNet.from_pretrained(models / "classifier").forward_with_features(pixels_of(rows))[1].detach()
    np.testing.assert_allclose(np.stack(rows.pop("features").to_list()), features, rtol=1e-3, atol=1e-5)
    assert rows.equals(rows_of(whole))
    assert "features" not in whole.provenance["params"]["synthesize"]["good"]  # which is that of before there were any


def test_strength_zero_is_plain_sampling_from_the_prompt(whole, models):
    """Classifier-free guidance and DDIM written down again, sample by sample."""
    rows = rows_of(whole)
    plain = rows[(rows["guidance"] == "image") & (rows["rho"] == 0) & (rows["mu"] == 0)]
    model = LatentDiffusion.load(models / "diffusion")
    candidates = {f"good/{c.index:06d}": c for c in good.plan(Good(**METHOD).guidances, CLASSES)}
    for row in plain.itertuples():
        streams = {name: SampleNoise(0, f"synthesize/good/{name}", [candidates[row.sample_id].stream]) for name in ("start", "sampler")}
        z, levels = streams["start"].normal(4, 8, 8), model.levels(4)
        with torch.no_grad():
            for t, a, b in zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True):
                without, given = (model.eps(z, t, model.embed([prompt])) for prompt in ("", row.prompt))
                eps = without + 2.0 * (given - without)
                z = ddim_step(z, (z - (1 - a) ** 0.5 * eps) / a**0.5, a, b, 1.0, streams["sampler"].normal(4, 8, 8))
            image = model.decode(z).clamp(0, 1)[0].permute(1, 2, 0)
        assert np.abs(image.numpy() * 255 - decode(row.image["bytes"])).max() < 0.51


def test_strength_moves_samples_out(whole):
    rows = rows_of(whole).set_index(["guidance", "rho", "mu"]).sort_index()
    energies = rows.loc["image"].groupby(["rho", "mu"])["energy"].mean()
    assert energies[20, 0] > energies[0, 0] and energies[0, 20] > energies[0, 0] and energies[20, 20] > energies[0, 0]
    distances = rows.loc["feature"].groupby("rho")["knn"].mean()
    assert distances[20] > distances[0.5]


def test_first_copies_share_their_noise_and_no_others_do():
    candidates = good.plan(Good(**METHOD).guidances, CLASSES)
    first = {c.stream for c in candidates if c.stream in ("0", "1")}
    others = [c.stream for c in candidates if c.stream not in first]
    assert first == {"0", "1"} and len(set(others)) == len(others) == 8
    assert sum(c.stream == "0" for c in candidates) == 4 + 2


def test_parts_in_any_order_give_the_bytes_of_the_whole(whole, models, tmp_path, monkeypatch):
    monkeypatch.setattr(good, "BLOCK", 5)
    one, other = make_stage(models, tmp_path / "one"), make_stage(models, tmp_path / "other")
    good.main(one)
    for index in (1, 0):
        good.main(replace(other, part=(index, 2)))
    assert not other.write("outliers").exists()
    good.main(other)
    assert other.write("outliers").read_bytes() == one.write("outliers").read_bytes()
    assert not (other.scratch_root / other.name).exists()
    np.testing.assert_allclose(rows_of(one)["energy"], rows_of(whole)["energy"], rtol=1e-2)  # other blocks, other batch mates


CHANGES = {
    "prompt": "the {}", "steps": 5, "guidance_scale": 4.0, "eta": 0.0, "recurrences": 2, "iterations": 2, "draws": 2,
    "rho_schedule": "decrease", "mu_schedule": "constant", "gamma_schedule": "constant", "clip": 0.5, "pndm": True, "knn_k": 9,
    "knn_log": True, "classifier_size": 8, "classifier_range": "symmetric",
}  # fmt: skip


@pytest.fixture(scope="module")
def latents_of(models, tmp_path_factory):
    stage = make_stage(models, tmp_path_factory.mktemp("latents"))

    def drawn(**changes):
        p = Good(**METHOD | changes)
        candidates = [c for c in good.plan(p.guidances, CLASSES) if c.rho == 20 and c.mu == 20]
        loaded = draw.load(replace(stage, params=Params({"synthesize": {"good": p}})), torch.device("cpu"))
        return draw.draw_latents(loaded, candidates, 0, p)

    return drawn


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_counts(latents_of, name):
    assert (latents_of() - latents_of(**{name: CHANGES[name]})).abs().max() > 1e-4


def test_larger_images_are_scaled_to_the_experiment(whole, models, tmp_path):
    rows = rows_of(whole)
    stage = make_stage(models, tmp_path)
    loaded = draw.load(stage, torch.device("cpu"))
    latents = torch.randn(2, 4, 8, 8)
    assert draw.draw_images(loaded.diffusion, latents, 8).shape == (2, 8, 8, 3)
    assert decode(rows["image"][0]["bytes"]).shape == (SIZE, SIZE, 3)


def test_strengths_that_break_the_sampler_are_named(models, tmp_path):
    broken = {"image": Strengths(**IMAGE).model_copy(update={"rho": [0.0, 1e38], "mu": [0.5], "per_class": 1})}
    with pytest.raises(PenumbraError, match=r"synthesize@good: 2 of 4 samples are NaN .* image with rho = 1e\+38 and mu = 0.5"):
        good.main(make_stage(models, tmp_path, guidances=broken))


def test_a_larger_k_than_the_bank_is_an_error(models, tmp_path):
    with pytest.raises(PenumbraError, match="knn_k = 13: must be at most 12"):
        good.main(make_stage(models, tmp_path, knn_k=13))


def test_a_prompt_that_is_too_long_is_known_before_any_work(models, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "draw_latents", lambda *_: pytest.fail("work has begun"))
    with pytest.raises(PenumbraError, match="tokens; the text encoder"):
        good.main(make_stage(models, tmp_path, prompt="a" * 40 + " {}"))


def test_a_classifier_of_other_classes_is_an_error(models, tmp_path):
    stage = make_stage(models, tmp_path)
    ResNet(**ARCHITECTURE, classes=3).save_pretrained(tmp_path / "classifier")
    with pytest.raises(PenumbraError, match="knows 3 classes, and .*train.parquet has 2"):
        good.main(replace(stage, reads=stage.reads | {"models/classifier": tmp_path / "classifier"}))


def test_features_of_another_classifier_are_an_error(models, tmp_path):
    stage = make_stage(models, tmp_path)
    write_features(tmp_path / "other.safetensors", {"features": torch.rand(12, 31)}, list("abcdefghijkl"), {})
    with pytest.raises(PenumbraError, match="has 31 features for each image, and the classifier makes 64"):
        good.main(replace(stage, reads=stage.reads | {"features/classifier": tmp_path / "other.safetensors"}))


def test_each_strength_is_reported_and_guidance_that_does_not_work_is_warned_about(models, tmp_path, capsys):
    falling = {"image": IMAGE | {"rho": [20.0, 0.0]}, "feature": FEATURE}  # the order of the list does not matter
    good.main(make_stage(models, tmp_path / "one", guidances=falling))
    told = capsys.readouterr().err
    assert "synthesize@good: image, rho 20: energy" in told and "image, mu 0: energy" in told and "warning" not in told
    assert "synthesize@good: feature, rho 0.5, mu 1: energy" in told
    weak = {"image": IMAGE | {"rho": [1e-9, 2e-9], "mu": [0.0]}}
    good.main(make_stage(models, tmp_path / "two", guidances=weak))
    assert "warning: synthesize@good: image: energy does not rise with rho" in capsys.readouterr().err


def test_a_negative_weight_of_the_energy_guides_into_id(models, tmp_path, capsys):
    inward = {"image": IMAGE | {"energy": -IMAGE["energy"]}}
    stage = make_stage(models, tmp_path, guidances=inward)
    good.main(stage)
    rows = rows_of(stage)
    assert rows[(rows.rho == 20) & (rows.mu == 20)].energy.mean() < rows[(rows.rho == 0) & (rows.mu == 0)].energy.mean()
    assert "warning" not in capsys.readouterr().err  # it need not rise with more strength
