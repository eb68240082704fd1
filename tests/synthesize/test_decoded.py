"""Candidates that another decoder paints: whose representations they are, by what noise, and that parts and order change nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from badood_files import make_stage, rows_of, write_models
from outlier_files import outliers_of, selection_of

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import read_pixels
from penumbra.errors import PenumbraError
from penumbra.models.moco import MoCoEncoder
from penumbra.noise import SampleNoise
from penumbra.stage import Params, Stage
from penumbra.synthesize.badood import plan as badood
from penumbra.synthesize.decoded import plan as decoded
from penumbra.synthesize.decoded.params import Decoded
from tiny_decoder import KINDS, tiny_decoder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Bad-OOD's models, and both decoders of images of 16 pixels."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    for kind in KINDS:
        tiny_decoder(folder / "diffusion", kind).save_pretrained(folder / kind)
    return folder


@pytest.fixture(scope="module")
def guided(models, tmp_path_factory):
    """The stage of Bad-OOD, whose candidates there are."""
    stage = make_stage(models, tmp_path_factory.mktemp("guided"), "badood")
    badood.main(stage)
    return stage


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def stage_of(models, guided, folder, kind, grey=False, seed=0, **changes) -> Stage:
    section = Decoded(**{"of": "badood", "decoder": kind, "steps": 3, "guidance_scale": 2.0} | changes)
    params = Params({"common": {"seed": seed, "grey": grey, "image_size": 8}, "synthesize": {"other": section}})
    reads = {"features/encoder": models / "encoder.safetensors", "models/encoder": models / "encoder", f"models/{kind}": models / kind}
    return Stage(
        "synthesize", "other", params, {}, reads | {"outliers/badood": guided.write("outliers")}, outliers_of(folder, "other"), folder / "s"
    )


def test_each_is_painted_of_the_representation_of_its_candidate_by_its_own_noise(models, guided, tmp_path, kind):
    stage = stage_of(models, guided, tmp_path, kind)
    decoded.main(stage)
    rows, theirs, decoder = rows_of(stage), rows_of(guided), KINDS[kind][0].load(models / kind)
    assert list(rows.columns) == ["image", *decoded.COLUMNS]
    assert rows["sample_id"].tolist() == [name.replace("badood/", "other/") for name in theirs["sample_id"]] == selection_of(stage)
    assert rows["of"].tolist() == theirs["sample_id"].tolist()
    assert rows[["source_id", "label", "scale", "norm"]].equals(theirs[["source_id", "label", "scale", "norm"]])
    z = torch.from_numpy(np.stack(theirs["representation"]))
    noise = SampleNoise(0, "synthesize/decode", [f"{source}-{copy}" for source, copy in zip(rows["source_id"], [0, 1] * 7, strict=True)])
    images = decoder.decode(decoder.latents(z, noise.normal(4, 8, 8), 3, 2.0))
    small = torch.nn.functional.interpolate(images, (8, 8), mode="bilinear", antialias=True)
    pixels = read_pixels(stage.write("outliers"))
    np.testing.assert_allclose(pixels, (255 * small.clamp(0, 1)).permute(0, 2, 3, 1).numpy(), atol=0.51)
    seen = MoCoEncoder.from_pretrained(models / "encoder").represent(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    source = read_features(models / "encoder.safetensors")[0]["representation"].repeat_interleave(2, 0)
    np.testing.assert_allclose(rows["distance_l2"], (seen - source).norm(dim=1), rtol=1e-4)


def test_another_representation_guidance_seed_or_decoder_is_another_picture(models, guided, tmp_path):
    def pixels(name: str, kind: str = "dit", **changes) -> np.ndarray:
        stage = stage_of(models, guided, tmp_path / name, kind, **changes)
        decoded.main(stage)
        return read_pixels(stage.write("outliers"))

    first = pixels("first")
    assert len({picture.tobytes() for picture in first}) == len(first)
    for name, changes in {"scale": {"guidance_scale": 0.0}, "seed": {"seed": 1}, "steps": {"steps": 2}, "ldm": {"kind": "ldm"}}.items():
        assert (pixels(name, **changes) != first).any(axis=(1, 2, 3)).all(), name


def test_parts_in_any_order_give_the_bytes_of_the_whole_and_grey_images_are_grey(models, guided, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(decoded, "BLOCK", 4)
    whole, other = (stage_of(models, guided, tmp_path / name, kind, grey=True) for name in ("whole", "other"))
    decoded.main(whole)
    for index in (1, 0):
        decoded.main(replace(other, part=(index, 2)))
    decoded.main(other)
    assert other.write("outliers").read_bytes() == whole.write("outliers").read_bytes()
    pixels = read_pixels(other.write("outliers"))
    assert (pixels == pixels[..., :1]).all()


def test_a_decoder_of_another_encoder_is_refused(models, guided, tmp_path, kind):
    tiny_decoder(models / "diffusion", kind, dimension=5).save_pretrained(tmp_path / "five")
    stage = stage_of(models, guided, tmp_path, kind)
    with pytest.raises(PenumbraError, match=r"five: is conditioned on 5 values, and the representations of .*badood.parquet have 6"):
        decoded.main(replace(stage, reads=stage.reads | {f"models/{kind}": tmp_path / "five"}))
