"""SONA's rows: provenance, edits, words, pictures of the way, the same bytes whole or in parts, and bad input."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from outlier_files import outliers_of, selection_of

from penumbra.artifacts.images import ImageWriter, decode, encode, read_pixels
from penumbra.errors import PenumbraError
from penumbra.models.latent import LatentDiffusion
from penumbra.stage import Params, Stage
from penumbra.synthesize import latents
from penumbra.synthesize.sona import draw
from penumbra.synthesize.sona import plan as sona
from penumbra.synthesize.sona.illustration import FRAMES, mask_steps, path_steps
from penumbra.synthesize.sona.params import Sona
from tiny_pipeline import write_tiny_pipeline

SIZE = 12  # pixels; those of the pipeline are 16
METHOD = {
    "edit": "sona", "prompt": "of {}", "words": "random", "word_file": None, "steps": 5, "stop": [1, 5], "scale": 10.0,
    "share": 0.2, "remove": True, "keep": True, "add": True, "spare": True, "granularity": "channel", "warmup": [0, 0, 0],
    "momentum_scale": 0.0, "momentum_beta": 0.6, "text_guidance": 0.0, "posterior": "mean", "sampler": "ddim", "splits": ["train"],
    "illustrated": 3,
}  # fmt: skip
WORDS = ["cat", "dog", "bee", "cow", "fox", "elk", "hen", "owl"]
COUNTS = {"train": 11, "test": 4, "world": 8}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_tiny_pipeline(folder / "diffusion")
    draws = np.random.default_rng(0)
    columns = {"sample_id": pa.string(), "label": pa.int64(), "caption": pa.string()}
    for split, count in COUNTS.items():
        with ImageWriter(folder / f"{split}.parquet", columns, {"classes": ["zero", "one"]}) as writer:
            for index in range(count):
                caption = {"train": ("a zero", "a one")[index % 2], "test": "", "world": WORDS[index % len(WORDS)]}[split]
                pixels = draws.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
                writer.add(encode(pixels), sample_id=f"{split}/{index:06d}", label=index % 2, caption=caption)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(sona, "BLOCK", 4)


def make_stage(inputs, folder, item="sona", world=True, **changes):
    params = {"common": {"seed": 0, "grey": False, "image_size": SIZE}, "synthesize": {item: Sona(**METHOD).model_copy(update=changes)}}
    reads = {"models/diffusion": inputs / "diffusion"}
    reads |= {f"images/{split}": inputs / f"{split}.parquet" for split in COUNTS if split != "world" or world}
    return Stage("synthesize", item, Params(params), {}, reads, outliers_of(folder, item), folder / "scratch")


def rows_of(stage):
    return pq.read_table(stage.write("outliers")).to_pandas()


def run(inputs, folder, **changes):
    stage = make_stage(inputs, folder, **changes)
    sona.main(stage)
    return rows_of(stage), read_pixels(stage.write("outliers"))


@pytest.fixture(scope="module")
def default(inputs, tmp_path_factory):
    stage = make_stage(inputs, tmp_path_factory.mktemp("default"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sona, "BLOCK", 4)
        sona.main(stage)
    return stage


def test_each_id_image_is_edited_once_and_says_how(default):
    rows = rows_of(default)
    assert list(rows.columns) == ["image", *sona.COLUMNS]
    assert rows["sample_id"].tolist() == [f"sona/{index:06d}" for index in range(11)]
    assert rows["source_id"].tolist() == [f"train/{index:06d}" for index in range(11)]
    assert rows["label"].tolist() == [index % 2 for index in range(11)]
    assert (rows["split"] == "train").all()
    assert set(rows["word"]) <= set(WORDS)
    assert rows["word"].nunique() > 2
    assert (rows["prompt"] == "of " + rows["word"]).all()
    assert rows["stop"].between(1, 5).all()
    assert rows["stop"].nunique() > 2
    assert (rows["displacement"] > 0).all()
    pixels = read_pixels(default.write("outliers"))
    assert pixels.shape == (11, SIZE, SIZE, 3)
    assert pixels.std() > 0
    assert selection_of(default) == rows["sample_id"].tolist()


def test_distances_are_those_of_the_latents_of_the_stored_images(default, inputs):
    model = LatentDiffusion.load(inputs / "diffusion")
    with torch.no_grad():
        made, source = (
            model.encode(latents.resized(torch.from_numpy(read_pixels(path)).permute(0, 3, 1, 2).float() / 255, (16, 16))).flatten(1)
            for path in (default.write("outliers"), inputs / "train.parquet")
        )
    rows = rows_of(default)
    np.testing.assert_allclose(rows["distance_l2"], (made - source).norm(dim=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(rows["distance_cosine"], 1 - torch.nn.functional.cosine_similarity(made, source), rtol=1e-2, atol=1e-5)


def test_parts_in_any_order_give_the_bytes_of_the_whole(default, inputs, tmp_path):
    other = make_stage(inputs, tmp_path)
    for index in (2, 0, 1):
        sona.main(replace(other, part=(index, 3)))
    assert not other.write("outliers").exists()
    sona.main(other)
    assert other.write("outliers").read_bytes() == default.write("outliers").read_bytes()


def test_stops_and_words_do_not_depend_on_edit_or_block(default, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(sona, "BLOCK", 11)
    rows, _ = run(inputs, tmp_path, edit="sdedit", text_guidance=3.0)
    assert rows[["stop", "word"]].equals(rows_of(default)[["stop", "word"]])
    assert (rows["displacement"] != rows_of(default)["displacement"]).any()


def test_an_image_does_not_depend_on_its_block(default, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(sona, "BLOCK", 11)
    rows, pixels = run(inputs, tmp_path, scale=1.0)
    monkeypatch.setattr(sona, "BLOCK", 2)
    again, others = run(inputs, tmp_path / "other", scale=1.0)
    np.testing.assert_allclose(rows["displacement"], again["displacement"], rtol=1e-2)
    assert np.mean(pixels != others) < 0.05
    assert np.mean(pixels == read_pixels(default.write("outliers"))) < 0.9


def test_edits_share_their_noise_so_that_without_guidance_they_are_one(inputs, tmp_path):
    quiet = {"scale": 0.0, "text_guidance": 0.0}
    made = [run(inputs, tmp_path / edit, edit=edit, **quiet)[1] for edit in ("sona", "sega", "sdedit")]
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_terms_that_are_switched_off_leave_the_unguided_image(inputs, tmp_path):
    _, off = run(inputs, tmp_path / "off", remove=False, keep=False, add=False)
    _, unguided = run(inputs, tmp_path / "zero", scale=0.0)
    assert np.array_equal(off, unguided)


def test_sega_is_led_by_the_id_prompt_and_sdedit_by_the_ood_prompt_alone():
    """What SONA's own switches say does not matter to them."""
    off = {"remove": False, "keep": False, "add": False, "spare": False, "text_guidance": 3.0}
    for flags in ({}, off):
        sega, sdedit = (draw.edit_of(Sona(**METHOD | {"text_guidance": 3.0} | flags | {"edit": edit})) for edit in ("sega", "sdedit"))
        assert (sega.text, sega.terms, sega.spare, sega.conditions) == ("id", ("add",), False, ("id", "ood"))
        assert (sdedit.text, sdedit.terms, sdedit.conditions) == ("ood", (), ("ood",))


def test_a_sampled_posterior_is_another_latent_than_its_mean(default, inputs, tmp_path):
    rows, _ = run(inputs, tmp_path, posterior="sample")
    assert rows["word"].equals(rows_of(default)["word"])
    assert (rows["displacement"] != rows_of(default)["displacement"]).all()


def test_pndm_is_another_sampler(default, inputs, tmp_path):
    rows, _ = run(inputs, tmp_path, sampler="pndm")
    assert ((rows["displacement"] != rows_of(default)["displacement"]) == (rows["stop"] > 1)).all()  # one step has no history


@pytest.mark.parametrize("stop", [[0, 2], [3, 3], [0, 5]])
def test_stops_are_uniform_over_both_bounds_and_all_between(stop):
    counts = np.bincount(draw.draw_stops([str(index) for index in range(3000)], stop, 0), minlength=6)
    kinds = stop[1] - stop[0] + 1
    assert (counts[stop[0] : stop[1] + 1] > 3000 / kinds * 0.85).all()
    assert counts.sum() == counts[stop[0] : stop[1] + 1].sum()


def test_without_a_step_an_edit_is_the_autoencoders_round_trip_and_needs_no_words(inputs, tmp_path):
    stage = make_stage(inputs, tmp_path, world=False, stop=[0, 0], splits=["train", "test"])
    sona.main(stage)
    rows = rows_of(stage)
    assert rows["split"].tolist() == ["train"] * 11 + ["test"] * 4
    assert rows["source_id"].tolist() == [f"train/{index:06d}" for index in range(11)] + [f"test/{index:06d}" for index in range(4)]
    assert (rows["word"] == "").all() and (rows["stop"] == 0).all() and (rows["displacement"] == 0).all()
    assert rows["masks"].isna().all()


def test_a_stop_of_zero_among_others_has_no_word(inputs, tmp_path):
    rows, _ = run(inputs, tmp_path, stop=[0, 2])
    assert ((rows["word"] == "") == (rows["stop"] == 0)).all()
    assert ((rows["displacement"] == 0) == (rows["stop"] == 0)).all()
    assert set(rows["stop"]) == {0, 1, 2}


def test_illustrated_rows_are_spread_and_show_masks_and_path(default):
    rows = rows_of(default)
    shown = rows[rows["path"].notna()]
    assert shown.index.tolist() == [0, 3, 7]
    for _, row in shown.iterrows():
        assert decode(row["path"]).shape == (SIZE, SIZE * len(path_steps(row["stop"])), 3)
        masks = decode(row["masks"])
        assert masks.shape == (SIZE * len(mask_steps(row["stop"])), SIZE * 3, 3)
        means = masks.reshape(-1, SIZE, 3, SIZE, 3).mean((0, 1, 3, 4)) / 255
        assert (np.abs(means[:2] - 0.2) < 0.05).all()
        assert 0 < means[2] < 0.25


def test_the_last_frame_of_the_path_is_close_to_the_outlier(default):
    rows, pixels = rows_of(default), read_pixels(default.write("outliers"))
    for index, row in rows[rows["path"].notna()].iterrows():
        last, first = (decode(row["path"])[:, start : start + SIZE or None].astype(float) for start in (-SIZE, 0))
        assert np.abs(last - pixels[index]).mean() < 8
        assert row["stop"] == 1 or np.abs(first - pixels[index]).mean() > np.abs(last - pixels[index]).mean()


def test_no_more_frames_than_steps_or_than_fit():
    assert path_steps(1) == mask_steps(1) == [0]
    assert mask_steps(50) == [0, 24, 49]
    assert len(path_steps(50)) == FRAMES
    assert path_steps(50)[0] == 0
    assert path_steps(50)[-1] == 49


def test_sdedit_has_no_masks_but_a_path_and_sega_one_mask(inputs, tmp_path):
    rows, _ = run(inputs, tmp_path / "sdedit", edit="sdedit", text_guidance=2.0)
    assert rows["masks"].isna().all()
    assert rows["path"].notna().sum() == 3
    rows, _ = run(inputs, tmp_path / "sega", edit="sega", text_guidance=2.0)
    assert decode(rows["masks"][0]).shape[1] == SIZE


def test_close_and_far_words_are_drawn_from_different_quarters(inputs, tmp_path):
    close, _ = run(inputs, tmp_path / "close", words="close")
    far, _ = run(inputs, tmp_path / "far", words="far")
    for label in (0, 1):
        near, away = (set(rows["word"][rows["label"] == label]) for rows in (close, far))
        assert not near & away
        assert max(len(near), len(away)) <= 2


def test_words_of_a_file_need_no_world(inputs, tmp_path):
    (tmp_path / "words").write_text("yak\n\na zero\n")
    stage = make_stage(inputs, tmp_path, world=False, word_file=str(tmp_path / "words"))
    sona.main(stage)
    assert set(rows_of(stage)["word"]) == {"yak"}


@pytest.mark.parametrize("choice", ["close", "far"])
def test_close_and_far_words_of_a_file_are_those_that_captions_of_a_world_give(inputs, tmp_path, choice):
    of_world, _ = run(inputs, tmp_path / "world", words=choice)
    (tmp_path / "words").write_text("\n".join(reversed(WORDS)))
    of_file, _ = run(inputs, tmp_path / "file", world=False, words=choice, word_file=str(tmp_path / "words"))
    assert of_file["word"].tolist() == of_world["word"].tolist()
    (tmp_path / "words").write_text("yak")
    of_file, _ = run(inputs, tmp_path / "yak", words=choice, word_file=str(tmp_path / "words"))
    assert set(of_file["word"]) == {"yak"}


def test_words_without_a_world_are_an_error_that_names_it(inputs, tmp_path):
    with pytest.raises(PenumbraError, match="images/world"):
        sona.main(make_stage(inputs, tmp_path, world=False))


def test_a_prompt_that_is_too_long_is_known_before_any_work(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "edit_batch", lambda *_: pytest.fail("work has begun"))
    (tmp_path / "words").write_text("a" * 40)
    stage = make_stage(inputs, tmp_path, word_file=str(tmp_path / "words"))
    with pytest.raises(PenumbraError, match="tokens"):
        sona.main(stage)


@pytest.mark.parametrize("posterior", ["mean", "sample"])
def test_the_autoencoder_may_take_a_block_in_parts(inputs, tmp_path, monkeypatch, posterior):
    """As on a GPU; latents and images are those of the whole block."""
    whole = run(inputs, tmp_path / "whole", posterior=posterior, stop=[0, 0])[1]
    monkeypatch.setattr(latents, "coded_at_once", lambda model, count: 1)
    parts = run(inputs, tmp_path / "parts", posterior=posterior, stop=[0, 0])[1]
    np.testing.assert_allclose(parts.astype(int), whole.astype(int), atol=1)


def test_images_with_nan_are_an_error_that_names_the_remedy(inputs, tmp_path):
    with pytest.raises(PenumbraError, match="NaN.*scale"):
        run(inputs, tmp_path, scale=1e38)


def test_a_pipeline_that_does_not_know_its_size_is_an_error(inputs, tmp_path):
    model = LatentDiffusion.load(inputs / "diffusion")
    model.unet.register_to_config(sample_size=None)
    with pytest.raises(PenumbraError, match="sample_size"):
        _ = model.image_size


def test_diffedit_is_another_edit_by_the_same_words_and_stops_and_shows_its_region(default, inputs, tmp_path):
    rows, plain = run(inputs, tmp_path, edit="diffedit", text_guidance=3.0)[0], rows_of(default)
    assert rows["word"].equals(plain["word"]) and rows["stop"].equals(plain["stop"])
    assert (rows["displacement"] > 0).all() and not np.allclose(rows["displacement"], plain["displacement"])
    assert decode(rows["masks"][0]).shape[1] == SIZE and rows["path"].notna().sum() == 3
