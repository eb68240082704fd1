"""score-control: every detector of params.yaml on the ID test images among the controls, and on no other image."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import logsumexp

from clip_features import RECIPE, ZERO_SHOT, label_features
from penumbra.artifacts.images import ImageWriter, encode, read_pixels, read_provenance, read_table
from penumbra.artifacts.tables import write_json
from penumbra.errors import PenumbraError
from penumbra.labels import grouped, mcm, neglabel_share
from penumbra.models.clip import Clip
from penumbra.models.clip_detector import ClipDetector
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector as Network
from penumbra.score import control
from penumbra.stage import Params, Stage
from penumbra.train.losses.clip.params import Recipe as ClipRecipe
from penumbra.train.losses.energy.params import Recipe as EnergyRecipe
from penumbra.train.params import Detector
from tiny_clip import write_tiny_clip

SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False}
ENERGY = EnergyRecipe(
    **SIZES, loss="energy", epochs=1, batch_size=2, learning_rate=0.1, weight_decay=0.0, momentum=0.9, warmup_epochs=0, nesterov=False,
    beta=1.0, crop_padding=0, flip=False, outliers_per_id=1.0, phi_hidden=4, phi_monotone=True, reduction="sum_of_means",
)  # fmt: skip
COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "split": pa.string()}
SPLITS = ["train", "test", "test", "train", "test"]
DETECTORS = {"none": "energy", "mid": "energy", "clip": "zero-shot", "clip-synood": "synood"}


@pytest.fixture
def stage(tmp_path):
    write_controls(tmp_path / "controls/own.parquet", SPLITS)
    recipes = {"energy": ENERGY, "zero-shot": ClipRecipe(**ZERO_SHOT), "synood": ClipRecipe(**RECIPE)}
    for name, recipe in recipes.items():
        write_json(tmp_path / f"recipes/{name}/recipe.json", recipe.model_dump())
        if name != "energy":
            write_tiny_clip(tmp_path / f"recipes/{name}/models/clip", seed=len(name))
    for name in ("none", "mid"):
        for seed in (10, 2):
            torch.manual_seed(seed + len(name))
            Network(**SIZES, classes=3, phi_hidden=4).save_pretrained(tmp_path / f"detectors/{name}/seed-{seed}")
    for name in ("clip", "clip-synood"):
        settings = {"temperature": None, "mcm_temperature": 1.0, "project": name != "clip", "residual": True}
        order = grouped(17, 4, torch.Generator().manual_seed(0))
        ClipDetector.zero_shot(label_features(), order, **settings).save_pretrained(tmp_path / f"detectors/{name}/seed-0")
    (tmp_path / "detectors/left-over/seed-0").mkdir(parents=True)
    detectors = {name: Detector(method="none", bands=["all"], recipe=recipe) for name, recipe in DETECTORS.items()}
    reads = {"controls/own": tmp_path / "controls/own.parquet", "recipes": tmp_path / "recipes", "detectors": tmp_path / "detectors"}
    params = Params({"train": {"detectors": detectors}})
    return Stage("score", "own", params, {"torch": "2"}, reads, {"probes/own": tmp_path / "own.parquet"}, tmp_path / "scratch")


def write_controls(path: Path, splits: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    with ImageWriter(path, COLUMNS, {}) as writer:
        for index, split in enumerate(splits):
            pixels = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
            writer.add(encode(pixels), sample_id=f"own/{index}", label=index % 3, split=split)


def test_a_row_for_each_detector_of_the_parameters_seed_and_test_image(stage):
    control.main(stage)
    table = read_table(stage.write()).to_pandas()
    assert list(table.columns) == ["detector", "seed", "sample_id", "label", "predicted", "energy", "msp", "mcm", "neglabel"]
    seeds = {"none": (2, 10), "mid": (2, 10), "clip": (0,), "clip-synood": (0,)}
    expected = [(name, seed, f"own/{index}", index % 3) for name, found in seeds.items() for seed in found for index in (1, 2, 4)]
    assert list(table[["detector", "seed", "sample_id", "label"]].itertuples(index=False, name=None)) == expected
    assert read_provenance(stage.write())["stage"] == "score@own"


def test_scores_of_a_network_are_those_of_its_own_outputs(stage):
    control.main(stage)
    table = read_table(stage.write()).to_pandas()
    mine = table[(table.detector == "mid") & (table.seed == 10)]
    logits = Inference(stage.read("detectors") / "mid/seed-10", torch.device("cpu")).outputs(stage.read("controls"))[0].numpy()[[1, 2, 4]]
    np.testing.assert_allclose(mine.energy, -logsumexp(logits, axis=1))
    np.testing.assert_allclose(mine.msp, -(logits.max(1) - logsumexp(logits, axis=1)))
    assert mine.predicted.tolist() == logits.argmax(1).tolist()
    assert mine[["mcm", "neglabel"]].isna().all(axis=None)


@pytest.mark.parametrize("name", ["clip", "clip-synood"])
def test_scores_of_a_clip_detector_are_of_what_its_recipes_model_sees(stage, name):
    control.main(stage)
    table = read_table(stage.write()).to_pandas()
    mine = table[table.detector == name]
    pixels = torch.from_numpy(read_pixels(stage.read("controls"))[[1, 2, 4]]).permute(0, 3, 1, 2).float() / 255
    features = Clip.load(stage.read("recipes") / DETECTORS[name] / "models/clip").embed_images(pixels)
    with torch.no_grad():
        found = ClipDetector.from_pretrained(stage.read("detectors") / name / "seed-0")(features)
    np.testing.assert_allclose(mine.neglabel, neglabel_share(found.log_odds), rtol=1e-4)
    np.testing.assert_allclose(mine.mcm, mcm(found.concepts, 1.0), rtol=1e-4)
    np.testing.assert_allclose(mine.energy, -logsumexp(found.logits.double().numpy(), axis=1), rtol=1e-4)
    assert mine.predicted.tolist() == found.logits.argmax(1).tolist()


def test_each_model_sees_each_test_image_once(stage, monkeypatch):
    seen, embed = [], Clip.embed_images
    monkeypatch.setattr(Clip, "embed_images", lambda clip, batch: seen.append(len(batch)) or embed(clip, batch))
    control.main(stage)
    assert seen == [3, 3]


def test_controls_without_test_images_have_no_rows_but_all_columns(stage):
    write_controls(stage.read("controls"), ["train"] * 3)
    control.main(stage)
    table = read_table(stage.write())
    assert len(table) == 0 and table.column_names == list(control.COLUMNS)


@pytest.mark.parametrize(("name", "weight"), [("mid/seed-10", "fc.bias"), ("clip-synood/seed-0", "delta.0.bias")])
def test_an_output_that_is_not_a_number_names_detector_seed_and_image(stage, name, weight):
    path = stage.read("detectors") / name / "model.safetensors"
    state = load_file(path)
    state[weight][1] = float("nan")
    save_file(state, path)
    with pytest.raises(PenumbraError, match=rf"detector {name}: output for image own/1 is NaN or infinite \(3 of 3 images\)"):
        control.main(stage)


def test_a_detector_that_is_not_there_is_named(stage):
    (stage.read("detectors") / "clip/seed-0").rename(stage.read("detectors") / "clip/other")
    with pytest.raises(PenumbraError, match="clip: holds no seed-"):
        control.main(stage)
