"""Bad-OOD's candidates that are moved: what stays as in their twins, where the step leads, and what is decoded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from badood_files import D, make_stage, rows_of, write_models
from outlier_files import selection_of

from penumbra.artifacts.features import read_features, write_features
from penumbra.artifacts.images import read_pixels
from penumbra.errors import PenumbraError
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder
from penumbra.synthesize.badood import plan as badood
from penumbra.synthesize.badood.draw import Streams, draw_images
from penumbra.synthesize.moved import plan as moved

OF_THE_TWIN = ["source_id", "label", "scale", "displacement", "minority_before", "minority_after", "seed"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def guided(models, tmp_path_factory):
    """The candidates of Bad-OOD itself."""
    stage = make_stage(models, tmp_path_factory.mktemp("guided"), "badood")
    badood.main(stage)
    return rows_of(stage)


@pytest.fixture(scope="module")
def near(models, tmp_path_factory):
    """The stage that moves them toward ID."""
    stage = make_stage(models, tmp_path_factory.mktemp("near"), "badood-toward", toward=0.1)
    moved.main(stage)
    return stage


def z_of(rows):
    return np.stack(rows["representation"]).astype(np.float64)


def test_a_twin_is_the_candidate_of_badood_itself(near, guided):
    rows = rows_of(near)
    assert list(rows.columns) == ["image", *moved.COLUMNS]
    assert rows["sample_id"].tolist() == [name.replace("badood/", "badood-toward/") for name in guided["sample_id"]] == selection_of(near)
    assert [twin["bytes"] for twin in rows["twin"]] == [image["bytes"] for image in guided["image"]]
    assert rows[OF_THE_TWIN].equals(guided[OF_THE_TWIN])


@pytest.mark.parametrize("toward", [0.1, 0.01, -0.1])
def test_the_step_is_along_the_principal_direction_of_the_class(models, tmp_path, guided, toward):
    stage = make_stage(models, tmp_path, "m", toward=toward)
    moved.main(stage)
    rows, z0 = rows_of(stage), read_features(models / "encoder.safetensors")[0]["representation"].double().numpy()
    before, after = z_of(guided), z_of(rows)
    for index, (z, label) in enumerate(zip(before, rows["label"], strict=True)):
        own = z0[np.arange(7) % 3 == label]
        direction = np.linalg.svd(own - own.mean(0))[2][0]
        side = np.sign((own.mean(0) - z) @ direction)
        np.testing.assert_allclose(after[index] - z, toward * np.linalg.norm(z) * side * direction, atol=1e-5)
        np.testing.assert_allclose(rows["mean_before"][index], np.linalg.norm(z - own.mean(0)), rtol=1e-5)
        np.testing.assert_allclose(rows["mean_after"][index], np.linalg.norm(after[index] - own.mean(0)), rtol=1e-5)
    assert (rows["toward"] == toward).all()
    np.testing.assert_allclose(rows["norm"], np.linalg.norm(after, axis=1), rtol=1e-5)
    assert toward > 0 or (rows["mean_after"] > rows["mean_before"]).all()


def test_the_image_is_decoded_from_where_the_step_led_with_the_noise_of_the_twin(models, tmp_path):
    """By a step that is long enough for an untrained MAGE to see it."""
    far = make_stage(models, tmp_path, "m", toward=-1.0)
    moved.main(far)
    rows, p = rows_of(far), far.params.synthesize["m"]
    names = [f"{source}-{copy}" for source, copy in zip(rows["source_id"], [0, 1] * 7, strict=True)]
    mage = MAGE.from_pretrained(models / "mage")
    expected = draw_images(mage, torch.tensor(z_of(rows)).float(), Streams(0, names).of("decode"), 8, p)
    pixels = read_pixels(far.write("outliers"))
    assert (pixels == expected.numpy()).all()
    seen = MoCoEncoder.from_pretrained(models / "encoder").represent(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    source = read_features(models / "encoder.safetensors")[0]["representation"].repeat_interleave(2, 0)
    np.testing.assert_allclose(rows["distance_l2"], (seen - source).norm(dim=1), rtol=1e-4)
    assert any(image["bytes"] != twin["bytes"] for image, twin in zip(rows["image"], rows["twin"], strict=True))


def test_a_step_of_nothing_leaves_a_candidate_as_its_twin(models, tmp_path, guided):
    stage = make_stage(models, tmp_path, "m", toward=0.0)
    moved.main(stage)
    rows = rows_of(stage)
    assert [image["bytes"] for image in rows["image"]] == [image["bytes"] for image in guided["image"]]
    assert (z_of(rows) == z_of(guided)).all() and (rows["distance_l2"] == guided["distance_l2"]).all()


def test_parts_of_moved_candidates_give_the_bytes_of_the_whole(models, tmp_path, monkeypatch):
    monkeypatch.setattr(moved, "BLOCK", 4)
    whole, other = (make_stage(models, tmp_path / name, "m", grey=True, toward=-0.1) for name in ("whole", "other"))
    moved.main(whole)
    for index in (1, 0):
        moved.main(replace(other, part=(index, 2)))
    moved.main(other)
    assert other.write("outliers").read_bytes() == whole.write("outliers").read_bytes()
    pixels = read_pixels(other.write("outliers"))
    assert (pixels == pixels[..., :1]).all()


def test_what_the_step_did_is_told(models, tmp_path, capsys):
    stage = make_stage(models, tmp_path, "m", toward=-0.1)
    moved.main(stage)
    rows = rows_of(stage)
    expected = f"mean of the class {rows['mean_before'].mean():.2f} -> {rows['mean_after'].mean():.2f}, nearer to it are 0%"
    told = capsys.readouterr().err
    assert "synthesize@m: scale 0.05: displacement" in told
    assert f"synthesize@m: moved away from ID by 0.1 of their length: mean distance from the {expected}" in told


def test_a_class_whose_images_are_alike_is_named(models, tmp_path):
    stage = make_stage(models, tmp_path, "m", toward=0.1)
    path = tmp_path / "alike.safetensors"
    z = torch.randn(5, D)
    write_features(path, {"representation": z, "label": torch.tensor([0, 0, 0, 2, 0])}, [f"train/{i:06d}" for i in range(5)], {})
    with pytest.raises(PenumbraError, match=r"synthesize@m: 1 ID training images of class 2 have one representation"):
        moved.main(replace(stage, reads=stage.reads | {"features/encoder": path}))
