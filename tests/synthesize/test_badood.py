"""Candidates of Bad-OOD: provenance, pairing of methods, and the same bytes whole, in parts or after a kill."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from badood_files import METHOD, D, make_stage, rows_of, write_models
from outlier_files import selection_of

from penumbra.artifacts.images import read_pixels
from penumbra.models.moco import MoCoEncoder, standardise
from penumbra.models.rdm import RDM
from penumbra.stage import Params
from penumbra.synthesize.badood import draw
from penumbra.synthesize.badood import plan as badood
from penumbra.synthesize.badood.draw import Streams, draw_images, guide
from penumbra.synthesize.badood.params import BadOod
from penumbra.synthesize.distances import distances


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def stage(models, tmp_path, monkeypatch):
    monkeypatch.setattr(badood, "BLOCK", 4)
    return make_stage(models, tmp_path, "badood")


def test_each_row_says_where_it_comes_from(stage):
    badood.main(stage)
    rows = rows_of(stage)
    assert list(rows.columns) == ["image", *badood.COLUMNS]
    assert rows["sample_id"].tolist()[:3] == ["badood/000000-0", "badood/000000-1", "badood/000001-0"]
    assert rows["source_id"].tolist() == [f"train/{index // 2:06d}" for index in range(14)]
    assert rows["label"].tolist() == [index // 2 % 3 for index in range(14)]
    assert rows["scale"].tolist() == [METHOD["scales"][index % 3] for index in range(14)]
    assert (rows["displacement"][rows["scale"] == 0] == 0).all()
    assert (rows["displacement"][rows["scale"] > 0] > 0).all()
    assert (rows["minority_before"] == rows["minority_after"])[rows["scale"] == 0].all()
    np.testing.assert_allclose(rows["norm"], [np.linalg.norm(z) for z in rows["representation"]], rtol=1e-5)
    assert read_pixels(stage.write("outliers")).shape == (14, 8, 8, 3)


def test_the_selection_of_all_names_every_candidate_in_order(stage):
    badood.main(stage)
    assert selection_of(stage) == rows_of(stage)["sample_id"].tolist()


@pytest.mark.parametrize("grey", [False, True])
def test_distances_are_those_of_the_stored_image(models, tmp_path, grey):
    stage = make_stage(models, tmp_path, "badood", grey)
    badood.main(stage)
    pixels = torch.from_numpy(read_pixels(stage.write("outliers"))).permute(0, 3, 1, 2).float() / 255
    assert (pixels == pixels[:, :1]).all() == grey
    made = MoCoEncoder.from_pretrained(models / "encoder").represent(pixels)
    source = draw.read_features(models / "encoder.safetensors")[0]["representation"].repeat_interleave(2, 0)
    rows = rows_of(stage)
    np.testing.assert_allclose(rows["distance_l2"], (made - source).norm(dim=1), rtol=1e-4)
    np.testing.assert_allclose(rows["distance_mse"], rows["distance_l2"] ** 2 / D, rtol=1e-4)


def test_distances_of_standardised_rows_agree_with_each_other():
    a, b = standardise(torch.randn(2, 5, D).reshape(10, D)).split(5)
    d = distances(a, b)
    torch.testing.assert_close(d["distance_unit_l2"], d["distance_l2"] / (D - 1) ** 0.5)
    torch.testing.assert_close(d["distance_cosine"], d["distance_unit_l2"] ** 2 / 2)


def test_parts_in_any_order_give_the_bytes_of_the_whole(stage, models, tmp_path):
    badood.main(stage)
    other = make_stage(models, tmp_path / "other", "badood")
    for index in (2, 0, 1):
        badood.main(replace(other, part=(index, 3)))
    assert not other.write("outliers").exists()
    badood.main(other)
    assert other.write("outliers").read_bytes() == stage.write("outliers").read_bytes()
    assert not (other.scratch_root / other.name).exists()


def test_a_killed_run_resumes_without_repeating_a_block(stage, models, tmp_path, monkeypatch):
    badood.main(stage)
    other, made, make_block = make_stage(models, tmp_path / "other", "badood"), [], draw.make_block

    def counted(*args):
        if len(made) == 2:
            made.append("killed")
            raise KeyboardInterrupt
        made.append("block")
        return make_block(*args)

    monkeypatch.setattr(draw, "make_block", counted)
    with pytest.raises(KeyboardInterrupt):
        badood.main(other)
    badood.main(other)
    assert made.count("block") == 4
    assert other.write("outliers").read_bytes() == stage.write("outliers").read_bytes()


def test_a_candidate_does_not_depend_on_its_block(stage, models, tmp_path, monkeypatch):
    badood.main(stage)
    monkeypatch.setattr(badood, "BLOCK", 14)
    other = make_stage(models, tmp_path / "other", "badood")
    badood.main(other)
    np.testing.assert_allclose(np.stack(rows_of(stage)["representation"]), np.stack(rows_of(other)["representation"]), atol=1e-4)


def test_methods_share_all_noise_but_their_guidance(stage, models, tmp_path):
    """Scale 0 leaves the unguided candidate, which is then one and the same for both methods, its image included."""
    gaussian = make_stage(models, tmp_path, "badood-gaussian")
    badood.main(stage)
    badood.main(gaussian)
    a, b = rows_of(stage), rows_of(gaussian)
    unguided = a["scale"] == 0
    assert (a["minority_before"] == b["minority_before"]).all()
    assert all(x["bytes"] == y["bytes"] for x, y in zip(a["image"][unguided], b["image"][unguided], strict=True))
    assert (a["minority_after"] != b["minority_after"])[~unguided].all()


def test_without_guidance_candidates_are_those_of_scale_0_whatever_the_scales(models, tmp_path):
    plain = make_stage(models, tmp_path, "plain", guidance="none")
    still = make_stage(models, tmp_path, "still", scales=[0.0])
    badood.main(plain)
    badood.main(still)
    first, second = rows_of(plain), rows_of(still)
    assert (first["scale"] == 0).all() and (first["displacement"] == 0).all()
    assert [row["bytes"] for row in first["image"]] == [row["bytes"] for row in second["image"]]


def test_without_guidance_there_is_one_pass(models):
    rdm, z0, calls = RDM.from_pretrained(models / "rdm"), torch.randn(2, D), []

    def counted(z, t):
        calls.append(len(z))
        return rdm(z, t)

    streams, p = Streams(0, ["a", "b"]), BadOod(**METHOD | {"guidance": "none"})
    made = guide(counted, rdm.alphas_cumprod, z0, [0.0, 0.0], streams, p)
    assert calls.count(2) == 3  # t = 30, 20, 10; the others are draws of the minority score
    at_scale_0 = guide(rdm, rdm.alphas_cumprod, z0, [0.0, 0.0], streams, BadOod(**METHOD))
    assert torch.equal(made.representation, at_scale_0.representation) and not made.displacement.any()


def test_at_noise_level_0_the_representation_is_that_of_the_id_image(models):
    rdm, z0 = RDM.from_pretrained(models / "rdm"), torch.randn(2, D)
    made = guide(rdm, rdm.alphas_cumprod, z0, [0.0, 0.0], Streams(0, ["a", "b"]), BadOod(**METHOD | {"guidance": "none", "t": 0}))
    assert torch.equal(made.representation, z0) and torch.equal(made.minority_before, made.minority_after)


def test_restandardized_candidates_have_the_norm_of_id(models, tmp_path):
    stage = make_stage(models, tmp_path, "badood", restandardize=True)
    badood.main(stage)
    np.testing.assert_allclose(rows_of(stage)["norm"], (D - 1) ** 0.5, rtol=1e-5)


def test_a_collapse_is_reported(models, tmp_path, capsys):
    badood.main(make_stage(models, tmp_path, "badood", scales=[50.0]))
    assert "warning: synthesize@badood: samples of scale 50 collapse" in capsys.readouterr().err


def test_streams_of_purposes_are_independent_and_restart():
    streams = Streams(0, ["train/0-0", "train/0-1"])
    first = streams.of("forward").normal(4)
    assert torch.equal(first, streams.of("forward").normal(4))
    assert not torch.equal(first, streams.of("reverse").normal(4))
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("guidance", ["minority", "gaussian"])
def test_guide_of_a_subset_is_the_subset_of_guide(models, guidance):
    rdm = RDM.from_pretrained(models / "rdm")
    z0, ids, scales = torch.randn(5, D), list("abcde"), [0.0, 0.1, 0.2, 0.1, 0.0]
    p = BadOod(**METHOD | {"guidance": guidance})
    whole = guide(rdm, rdm.alphas_cumprod, z0, scales, Streams(0, ids), p)
    part = guide(rdm, rdm.alphas_cumprod, z0[[3, 1]], [0.1, 0.1], Streams(0, ["d", "b"]), p)
    torch.testing.assert_close(part.representation, whole.representation[[3, 1]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(part.minority_after, whole.minority_after[[3, 1]], atol=1e-4, rtol=1e-4)


def test_representations_are_noised_to_exactly_t(models):
    rdm, z0, seen = RDM.from_pretrained(models / "rdm"), torch.randn(2, D), []

    def recorded(z, t):
        seen.append((z, t))
        return rdm(z, t)

    guide(recorded, rdm.alphas_cumprod, z0, [0.1, 0.1], Streams(0, ["a", "b"]), BadOod(**METHOD))
    level = torch.cumprod(1 - torch.linspace(0.0015**0.5, 0.0195**0.5, 50, dtype=torch.float64) ** 2, 0)[30].float()
    expected = level.sqrt() * z0 + (1 - level).sqrt() * Streams(0, ["a", "b"]).of("forward").normal(D)
    torch.testing.assert_close(seen[0][0], expected)
    assert seen[0][1].tolist() == [30, 30]


CHANGES = {
    "t": 20, "stride": 15, "loop": "single", "eta": 0.0, "last_alpha": "one", "s": 30, "distance": "l1", "space": "x0", "norm": "l2",
    "variance": True, "every": 2, "draws": 2, "stop_gradient": False, "restandardize": True, "guidance": "gaussian",
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_of_the_guidance_counts(models, name):
    rdm = RDM.from_pretrained(models / "rdm")
    z0, scales, streams = torch.randn(2, D, generator=torch.Generator().manual_seed(0)), [0.2, 0.2], Streams(0, ["a", "b"])
    one, other = (guide(rdm, rdm.alphas_cumprod, z0, scales, streams, BadOod(**METHOD | c)) for c in ({}, {name: CHANGES[name]}))
    assert (one.representation - other.representation).abs().max() > 1e-3


def test_images_are_decoded_as_the_parameters_say_and_rounded_to_bytes():
    class Decoder:
        def generate(self, *args):
            self.asked = args
            return torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)

    mage, z = Decoder(), torch.randn(1, D)
    pixels = draw_images(mage, z, "noise", 2, Params({"decode_steps": 5, "decode_temperature": 7.0, "decode_guidance": 2.0}))
    assert mage.asked == (z, "noise", 5, 7.0, 2.0)
    assert pixels.shape == (1, 2, 2, 3) and pixels[0, :, :, 0].tolist() == [[0, 0], [1, 255]]
    larger = draw_images(mage, z, "noise", 8, Params({"decode_steps": 5, "decode_temperature": 7.0, "decode_guidance": 2.0}))
    assert larger.shape == (1, 8, 8, 3)
