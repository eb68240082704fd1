"""SynOOD's rows: which images, which prompts, what is recorded, the same bytes whole or in parts, and bad input."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from outlier_files import outliers_of, selection_of
from PIL import Image as Picture

from penumbra.artifacts.contexts import Context, write_contexts
from penumbra.artifacts.images import ImageWriter, decode, encode, read_pixels
from penumbra.artifacts.negatives import Negative, TextFeatures, write_negatives
from penumbra.errors import PenumbraError
from penumbra.guidance.skip import OodLoss
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.models.resnet import ResNet
from penumbra.stage import Params, Stage
from penumbra.synthesize import latents
from penumbra.synthesize.sources import Image
from penumbra.synthesize.synood import draw
from penumbra.synthesize.synood import plan as synood
from penumbra.synthesize.synood.params import SynOod, SynOodNegatives
from tiny_pipeline import write_tiny_inpainting

SIZE = 12  # pixels; those of the pipeline are 16
METHOD = {
    "prompt": "of {}", "characters": 7, "per_class": 4, "strength": 0.6, "steps": 5,
    "guidance_scale": 2.0, "iterations": 3, "step_size": 0.2, "loss": "energy", "margin": -1.0, "temperature": 1.0, "sampler": "ddim",
    "posterior": "mean", "classifier_size": 16, "jpeg": 75, "splits": ["train"], "illustrated": 3,
}  # fmt: skip
COUNTS = {"train": 11, "test": 4}
LABELS = ["cat, dogs", "bee", "", "  elk ,yak"]
WORDS = ["ant", "cow", "hen"]
ARCHITECTURE = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 2}


def picture(index):
    """Noise whose amplitude, and so the bytes of its JPEG, depends on the index."""
    amplitude = 10 + 100 * (index * 7 % 11) / 11
    return (128 + amplitude * np.random.default_rng(index).uniform(-1, 1, (SIZE, SIZE, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_tiny_inpainting(folder / "inpainting")
    torch.manual_seed(0)
    classifier = ResNet(**ARCHITECTURE)
    torch.nn.init.normal_(classifier.fc.weight, std=3.0)
    classifier.eval().save_pretrained(folder / "classifier")
    columns = {"sample_id": pa.string(), "label": pa.int64(), "caption": pa.string()}
    for split, count in COUNTS.items():
        with ImageWriter(folder / f"{split}.parquet", columns, {"classes": ["zero", "one"]}) as writer:
            for index in range(count):
                writer.add(encode(picture(index)), sample_id=f"{split}/{index:06d}", label=index % 2, caption="")
    rows = (Context(f"train/{index:06d}", "zero", LABELS[index % len(LABELS)], "") for index in range(COUNTS["train"]))
    write_contexts(folder / "contexts.csv", rows)
    negatives = [Negative(word, f"the nice {word}", "noun", 0.1) for word in WORDS]
    write_negatives(folder / "negatives.safetensors", TextFeatures(*torch.zeros(3, 3, 2), 100.0, ["zero", "one"], negatives), {})
    return folder


def make_stage(inputs, folder, item="synood", kind=SynOod, **changes):
    params = {"common": {"seed": 0, "grey": False, "image_size": SIZE}, "synthesize": {item: kind(**METHOD).model_copy(update=changes)}}
    reads = {f"models/{name}": inputs / name for name in ("inpainting", "classifier")}
    reads |= {f"images/{split}": inputs / f"{split}.parquet" for split in COUNTS}
    prompts = {SynOod: "contexts.csv", SynOodNegatives: "negatives.safetensors"}[kind]
    reads[f"features/{prompts.partition('.')[0]}"] = inputs / prompts
    return Stage("synthesize", item, Params(params), {}, reads, outliers_of(folder, item), folder / "scratch")


def rows_of(stage):
    return pq.read_table(stage.write("outliers")).to_pandas()


def run(inputs, folder, **changes):
    stage = make_stage(inputs, folder, **changes)
    synood.main(stage)
    return rows_of(stage)


def series(rows, name):
    return np.stack(rows[name])


@pytest.fixture(scope="module")
def default(inputs, tmp_path_factory):
    stage = make_stage(inputs, tmp_path_factory.mktemp("default"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(synood, "BLOCK", 3)  # three blocks, the last one smaller
        synood.main(stage)
    return stage


def test_the_images_of_most_bytes_per_pixel_of_each_class_are_repainted(default):
    rows = rows_of(default)
    assert list(rows.columns) == ["image", *synood.COLUMNS]
    buffers = []
    for index in range(COUNTS["train"]):
        buffers.append(io.BytesIO())
        Picture.fromarray(picture(index)).save(buffers[-1], "JPEG", quality=75)
    complexity = np.array([len(buffer.getvalue()) for buffer in buffers]) / SIZE**2
    kept = sorted(index for label in (0, 1) for index in sorted(range(label, 11, 2), key=lambda i: -complexity[i])[:4])
    assert rows["source_id"].tolist() == [f"train/{index:06d}" for index in kept]
    assert rows["sample_id"].tolist() == [f"synood/{index:06d}" for index in range(8)]
    assert rows["label"].tolist() == [index % 2 for index in kept]
    assert (rows["split"] == "train").all()
    np.testing.assert_allclose(rows["complexity"], complexity[kept], rtol=1e-6)
    assert selection_of(default) == rows["sample_id"].tolist()


def test_prompts_are_the_labels_cut_to_their_length_and_none_without_labels(default):
    rows = rows_of(default)
    by_source = [LABELS[int(source[-6:]) % len(LABELS)] for source in rows["source_id"]]
    expected = {"cat, dogs": "cat, do", "bee": "bee", "": "", "  elk ,yak": "elk ,ya"}
    assert rows["context"].tolist() == [expected[labels] for labels in by_source]
    assert rows["prompt"].tolist() == [f"of {context}" if context else "" for context in rows["context"]]
    assert rows["context"].nunique() == 4


def test_illustrated_rows_are_spread_and_show_all_iterations(default):
    rows = rows_of(default)
    shown = rows[rows["frames"].notna()]
    assert shown.index.tolist() == [0, 2, 5]
    for _, row in shown.iterrows():
        strip = decode(row["frames"])
        assert strip.shape == (SIZE, 3 * SIZE, 3)
        last = decode(encode(strip[:, -SIZE:], jpeg=75))
        assert np.abs(last.astype(int) - decode(row["image"]["bytes"])).mean() < 2
        assert (strip[:, :SIZE] != strip[:, -SIZE:]).any()


@pytest.mark.parametrize("kind", ["energy", "hinge", "uniform"])
def test_energies_and_losses_are_those_of_the_image_of_each_iteration(inputs, kind):
    """Images of the pipeline's own size, so that the classifier sees what is kept."""
    models = draw.Models(
        InpaintingDiffusion.load(inputs / "inpainting"),
        ResNet.from_pretrained(inputs / "classifier"),
    )
    images = [Image("train", row, f"train/{row}", 0) for row in range(3)]
    candidates = [synood.Candidate(image, row, 1.0, "bee", "of bee", True) for row, image in enumerate(images)]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    made = draw.outliers_of(models, pixels, candidates, SynOod(**METHOD | {"loss": kind}), 0, False)
    loss = OodLoss(kind, -1.0, 1.0)
    for row in range(3):
        frames = np.stack(np.split(decode(made.frames[row]), 3, axis=1))
        logits = models.classifier(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255)
        torch.testing.assert_close(loss.energy(logits), made.energy[row], rtol=0.05, atol=0.1)
        torch.testing.assert_close(loss(logits), made.loss[row], rtol=0.1, atol=0.2)


def test_loss_falls_over_the_iterations(inputs, tmp_path):
    losses = series(run(inputs, tmp_path, step_size=0.005, iterations=4), "loss")
    assert (np.diff(losses.mean(0)) < 0).all()


def test_a_step_of_zero_repeats_the_first_run(inputs, tmp_path):
    once = run(inputs, tmp_path / "once", iterations=1)
    still = run(inputs, tmp_path / "still", step_size=0.0)
    assert once["image"].equals(still["image"])
    assert (series(still, "energies") == series(once, "energies")).all()


def test_distances_are_those_of_the_latents_of_the_stored_images(default, inputs):
    model, rows = InpaintingDiffusion.load(inputs / "inpainting"), rows_of(default)
    picked = [int(source[-6:]) for source in rows["source_id"]]
    with torch.no_grad():
        made, source = (
            model.encode(latents.resized(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, (16, 16))).flatten(1)
            for pixels in (read_pixels(default.write("outliers")), read_pixels(inputs / "train.parquet")[picked])
        )
    np.testing.assert_allclose(rows["distance_l2"], (made - source).norm(dim=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(rows["distance_cosine"], 1 - torch.nn.functional.cosine_similarity(made, source), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize(("jpeg", "start"), [(75, b"\xff\xd8"), (None, b"\x89PNG")])
def test_the_result_is_compressed_as_asked(inputs, tmp_path, jpeg, start):
    rows = run(inputs, tmp_path, iterations=1, jpeg=jpeg)
    assert all(image["bytes"].startswith(start) for image in rows["image"])
    assert read_pixels(tmp_path / "synood.parquet").shape == (8, SIZE, SIZE, 3)


def test_parts_in_any_order_give_the_bytes_of_the_whole(default, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(synood, "BLOCK", 3)
    other = make_stage(inputs, tmp_path)
    for index in (2, 0, 1):
        synood.main(replace(other, part=(index, 3)))
    assert not other.write("outliers").exists()
    synood.main(other)
    assert other.write("outliers").read_bytes() == default.write("outliers").read_bytes()


def test_an_image_does_not_depend_on_its_block(default, inputs, tmp_path):
    rows = rows_of(default)
    again = run(inputs, tmp_path)
    np.testing.assert_allclose(series(rows, "energies"), series(again, "energies"), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(rows["displacement"], again["displacement"], rtol=1e-2)


def test_each_image_has_a_negative_label_of_its_own(default, inputs, tmp_path):
    def made(folder, **changes):
        stage = make_stage(inputs, folder, "negatives", SynOodNegatives, iterations=1, **changes)
        synood.main(stage)
        return rows_of(stage)

    rows = made(tmp_path, per_class=None)
    assert set(rows["context"]) == set(WORDS)
    assert (rows["prompt"] == "of " + rows["context"]).all()
    assert rows["sample_id"][0] == "negatives/000000"
    fewer = made(tmp_path / "fewer")
    assert set(zip(fewer["source_id"], fewer["context"], strict=True)) < set(zip(rows["source_id"], rows["context"], strict=True))


def test_full_strength_starts_from_pure_noise(inputs, tmp_path):
    """The posterior's sample is then not seen in the result; with less strength it is."""
    full = [run(inputs, tmp_path / name, strength=1.0, iterations=1, posterior=name) for name in ("mean", "sample")]
    assert full[0]["image"].equals(full[1]["image"])
    part = [run(inputs, tmp_path / name, iterations=1, posterior=name) for name in ("mean", "sample")]
    assert not part[0]["image"].equals(part[1]["image"])


def test_pndm_and_losses_are_other_ways_from_the_same_noise(default, inputs, tmp_path):
    rows = rows_of(default)
    pndm = run(inputs, tmp_path / "pndm", sampler="pndm", iterations=1)
    assert (pndm["displacement"] != rows["displacement"]).all()
    uniform = run(inputs, tmp_path / "uniform", loss="uniform", iterations=2)
    np.testing.assert_allclose(series(uniform, "energies")[:, 0], series(rows, "energies")[:, 0], rtol=1e-3)
    assert not np.allclose(series(uniform, "energies")[:, 1], series(rows, "energies")[:, 1])


def test_an_image_without_a_context_is_an_error_that_names_both(inputs, tmp_path):
    with pytest.raises(PenumbraError, match=r"contexts\.csv: has no row for image test/000000 \(4 of 12"):
        run(inputs, tmp_path, splits=["train", "test"])


def test_no_negative_label_is_an_error(inputs, tmp_path):
    path = tmp_path / "none.safetensors"
    write_negatives(path, TextFeatures(*torch.zeros(3, 3, 2), 100.0, ["zero", "one"], []), {})
    stage = make_stage(inputs, tmp_path, kind=SynOodNegatives)
    with pytest.raises(PenumbraError, match="holds no negative label"):
        synood.main(replace(stage, reads=stage.reads | {"features/negatives": path}))


def test_a_prompt_that_is_too_long_is_known_before_any_work(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "outliers_of", lambda *_: pytest.fail("work has begun"))
    with pytest.raises(PenumbraError, match="tokens"):
        run(inputs, tmp_path, prompt="a story of something else and {}")


def test_an_answer_of_ten_thousand_characters_is_cut(inputs, tmp_path):
    path = tmp_path / "contexts.csv"
    write_contexts(path, (Context(f"train/{index:06d}", "zero", "bee " * 2500, "") for index in range(COUNTS["train"])))
    stage = make_stage(inputs, tmp_path, iterations=1)
    stage = replace(stage, reads=stage.reads | {"features/contexts": path})
    synood.main(stage)
    assert (rows_of(stage)["context"] == "bee bee").all()


def test_images_with_nan_are_an_error_that_names_the_remedy(inputs, tmp_path):
    with pytest.raises(PenumbraError, match="NaN.*step_size"):
        run(inputs, tmp_path, step_size=1e38)


def test_a_loss_that_rises_is_told(inputs, tmp_path, capsys):
    run(inputs, tmp_path, step_size=0.0)
    assert "warning" not in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(OodLoss, "__call__", lambda self, logits: self.energy(logits))  # and so the energy falls
        run(inputs, tmp_path / "up", step_size=-0.2)
    assert "the loss rises" in capsys.readouterr().err


def test_images_that_a_margin_leads_back_into_id_are_told(inputs, tmp_path, capsys):
    run(inputs, tmp_path / "none", margin=0.0, step_size=0.01)  # above the energy of equal logits
    assert "led back" not in capsys.readouterr().err
    rows = run(inputs, tmp_path / "all", margin=-30.0, step_size=0.01)
    energies = series(rows, "energies")
    fallen = (energies[:, -1] < energies[:, 0]).sum()
    assert f"{fallen} of {len(rows)} images" in capsys.readouterr().err and fallen > 0
